// Package ociimage makes container images out of planned root trees, without a Docker daemon: an archive for docker load and
// an OCI image layout. It is build tooling; the launcher does not use it.
//
//	plan, err := rootfs.Plan(ctx, ...)
//	sums, err := ociimage.Sum(ctx, plan.Nodes)
//	image, err := ociimage.Build(ctx, ociimage.Options{Plan: plan, Sums: sums, Cache: "build/image/layers", ...})
//	err = image.WriteArchive("build/image.tar", "dockerlaunch:latest")
//	err = image.WriteLayout("build/oci", "latest")
//
// An image has a layer for each thing that changes at its own pace, the one that changes most on top, so that a new launcher
// does not ship Docker again. The same packages give the same layers, byte for byte: times in a layer come from the packages
// that it is made of, and only the layer of the launcher and the image's configuration know of the commit.
package ociimage
