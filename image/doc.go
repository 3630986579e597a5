// Package image turns pinned inputs into the artefacts of a release: kernel,
// initrd, UKI, the site registry's container images and the manifest.
//
// Build is the whole of it. Its steps, in order: Debian's packages by the lock
// file (image/debian), Ingot's programs by the go command (image/root), then the
// root image, the initramfs (image/initramfs), the UKI (image/uki) and the
// container images (image/oci), and the manifest last. A step whose inputs are
// those of the build before is skipped; artefacts are replaced whole, so a build
// that fails or is stopped leaves the one before in place.
//
// It needs the go command, a C compiler and libseccomp on the machine, and no
// rights. It refuses profiles it does not know, packages Debian did not sign, and
// two builds at once in one folder. It signs nothing. No goroutines.
package image
