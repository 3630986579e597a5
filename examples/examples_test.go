// Package examples holds app definitions to try; each is what `ingot app add`
// and a client of Marathon's API would send.
package examples

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-os/ingot/api"
)

func TestDefinitionsAreStrictApps(t *testing.T) {
	files, err := filepath.Glob("*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d definitions, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var app api.App
		if err := d.Decode(&app); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if want := "/" + file[:len(file)-len(".json")]; app.ID != want {
			t.Errorf("%s: id %s, want %s", file, app.ID, want)
		}
	}
}
