// Package nested tries the container image as people use it: an outer Docker, started by this launcher, loads build/image.tar
// and runs it with --privileged, and the Docker inside is put to work by its client and over TLS. It is tests alone.
package nested
