// Package root makes the root image of a node: Ingot's programs, the kernel
// modules that every machine loads, accounts and a few files, in an EROFS image
// that is mounted from memory, read-only.
//
// Order of calls: Compile each of Programs, OpenKernel and Order for the modules
// of stage one and of the root phase, Tree, then EROFS. The same inputs give the
// same bytes. It refuses kernels that lack a module of the lists. There is no
// shell, no libc and no package manager in the image. No goroutines.
package root
