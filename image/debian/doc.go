// Package debian gets pinned packages of Debian 13 from the mirror this machine
// already uses, and proves that they are Debian's.
//
// The lock file names each package with version, size and SHA-256. Order of
// calls: Mirror finds the mirror, a Client keeps the cache, Fetch brings the
// packages of a set. What is in the cache by its SHA-256 needs no network. When
// something must be downloaded, the archive's InRelease is fetched and its OpenPGP
// signature checked against Debian's keyring, then the digest of Packages.xz
// against it, then each package against both index and lock.
//
// It refuses unsigned or wrongly signed indexes, and a lock that contradicts the
// signed index. A locked version that has left index and pool is replaced by the
// newest signed one, and the result says so. It names no mirror: what cannot be
// found in apt's configuration comes from DEBIAN_MIRROR. No goroutines.
package debian
