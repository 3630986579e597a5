// Package stories tells, in tests, what a rack must survive: each boots the
// image that was built, with the program that was built, on virtual machines.
//
// The stories build nothing. They take the program `ingot` from $INGOT_PROGRAM
// (default build/ingot) and the image from $INGOT_IMAGE (default build/image),
// and are skipped, saying what is missing, when there is none: `make test` builds
// both first. A story that fails leaves what machines printed, what passed the
// wire and what the nodes logged in build/failed/STORY.
package stories
