// Package shipped holds the appliance's own units, one folder per component,
// embedded in initd. A test refuses units with warnings.
package shipped

import "embed"

// FS is the tree of unit files.
//
//go:embed */*.service */*.socket */*.timer */*.target
var FS embed.FS
