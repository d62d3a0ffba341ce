package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/dockerlaunch/dockerlaunch/internal/ociimage"
	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
	"github.com/dockerlaunch/dockerlaunch/internal/spdx"
)

// imageFlags are those of `mkimage image`.
type imageFlags struct {
	tree              rootfs.Options
	out               string
	variants          []string
	version, revision string
	created           int64
	restBudget        int64
	table             bool
}

// variantFiles says what the files of a variant are called, and under which tag it is loaded.
var variantFiles = map[ociimage.Variant]struct{ image, layout, tag string }{
	ociimage.VariantFull:    {"image", "oci", "latest"},
	ociimage.VariantMinimal: {"image-minimal", "oci-minimal", "minimal"},
}

// repository is what the images are called.
const repository = "dockerlaunch"

func parseImage(args []string, e env) (o imageFlags, done bool, err error) {
	f := pflag.NewFlagSet("image", pflag.ContinueOnError)
	f.StringVar(&o.tree.Packages, "packages", "", "`folder` of Debian packages, as scripts/fetch-packages leaves it")
	f.StringVar(&o.tree.Launcher, "launcher", "", "the launcher, a `file`")
	f.StringVar(&o.tree.Docker, "docker-tgz", "", "take Docker's programs from this `file`, Docker's own static archive")
	f.StringVar(&o.out, "out", "", "`folder` for image.tar, image.spdx.json and oci/, and the same of the variant minimal; packed layers are kept in image-layers/ there")
	f.StringSliceVar(&o.variants, "variants", []string{"full", "minimal"}, "which `variants` to build: full has git and ssh, minimal has not")
	f.StringVar(&o.version, "version", "", "the launcher's `version`, for the image's labels")
	f.StringVar(&o.revision, "revision", "", "the `commit`, for the image's labels")
	f.Int64Var(&o.created, "created", 0, "the image's time where SOURCE_DATE_EPOCH does not say, in `seconds` since 1970")
	f.Int64Var(&o.restBudget, "rest-budget", 0, "refuse a minimal variant with more than so many `bytes` beside the launcher and Docker's own programs")
	f.BoolVar(&o.table, "table", false, "only print what is in the smallest variant asked for and what for, as Markdown")
	if done, err := parse(f, args, e); done || err != nil {
		return o, done, err
	}
	for _, missing := range []struct{ name, value string }{{"--packages", o.tree.Packages}, {"--launcher", o.tree.Launcher}, {"--out", o.out}} {
		if missing.value == "" && !(o.table && missing.name == "--out") {
			return o, false, fmt.Errorf("%w: %s is missing", errUsage, missing.name)
		}
	}
	if len(o.variants) == 0 {
		return o, false, fmt.Errorf("%w: --variants names none", errUsage)
	}
	for _, v := range o.variants {
		if _, ok := variantFiles[ociimage.Variant(v)]; !ok {
			return o, false, fmt.Errorf("%w: --variants: there is no variant %q; want full, minimal, or both", errUsage, v)
		}
	}
	o.tree.Notices = true
	return o, false, nil
}

// image builds the variants that are asked for.
func image(ctx context.Context, args []string, e env) error {
	o, done, err := parseImage(args, e)
	if done || err != nil {
		return err
	}
	latest, err := epoch(e.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	if latest > 0 {
		o.created = latest
	}
	p := newProgress(e.stderr)
	o.tree.Progress = p.step
	var (
		cache  = filepath.Join(o.out, "image-layers")
		sums   map[string]ociimage.Sums
		images []*ociimage.Image
	)
	// The largest variant first: its hashes are those of the smaller one too.
	slices.Sort(o.variants)
	if o.table {
		slices.Reverse(o.variants)
	}
	for _, name := range slices.Compact(o.variants) {
		start := time.Now()
		v := ociimage.Variant(name)
		o.tree.Git = v == ociimage.VariantFull
		plan, err := rootfs.Plan(ctx, o.tree)
		p.end()
		if err != nil {
			return err
		}
		weights := ociimage.Weigh(plan)
		if o.table {
			return weights.WriteTable(e.stdout)
		}
		if rest := weights.RestSize(); v == ociimage.VariantMinimal && o.restBudget > 0 && rest > o.restBudget {
			return fmt.Errorf("the variant %s has %d bytes beside the launcher and Docker's own programs, the budget is %d; mkimage image --table --variants %s lists them", v, rest, o.restBudget, v)
		}
		if sums == nil {
			if sums, err = ociimage.Sum(ctx, plan.Nodes); err != nil {
				return err
			}
		}
		one, err := ociimage.Build(ctx, ociimage.Options{
			Plan: plan, Sums: sums, Cache: cache, Variant: v, Created: o.created, Latest: latest, Version: o.version, Revision: o.revision,
		})
		if err != nil {
			return err
		}
		images = append(images, one)
		if err := writeImage(o, v, one, plan, sums); err != nil {
			return err
		}
		if err := report(e.stdout, o.out, v, one, weights, time.Since(start)); err != nil {
			return err
		}
	}
	return ociimage.Prune(cache, images...)
}

// writeImage writes the files of one variant.
func writeImage(o imageFlags, v ociimage.Variant, image *ociimage.Image, plan *rootfs.Manifest, sums map[string]ociimage.Sums) error {
	files := variantFiles[v]
	if err := image.WriteArchive(filepath.Join(o.out, files.image+".tar"), repository+":"+files.tag); err != nil {
		return err
	}
	if err := image.WriteLayout(filepath.Join(o.out, files.layout), files.tag); err != nil {
		return err
	}
	digest, err := image.Image().Digest()
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	doc, err := spdx.Describe(spdx.Subject{
		Name: repository + ":" + files.tag, Version: o.version, Digest: digest.String(), Created: o.created, Plan: plan, Sums: sums,
	})
	if err != nil {
		return err
	}
	if err := spdx.Check(doc); err != nil {
		return fmt.Errorf("the bill of materials breaks the rules: %w", err)
	}
	return writeFile(filepath.Join(o.out, files.image+".spdx.json"), func(w io.Writer) error {
		_, err := w.Write(doc)
		return err
	})
}

// report says what was built.
func report(w io.Writer, out string, v ociimage.Variant, image *ociimage.Image, weights ociimage.Weights, took time.Duration) error {
	files := variantFiles[v]
	var layers []string
	for _, l := range image.Layers() {
		layers = append(layers, fmt.Sprintf("%s %.1f", l.Name, float64(l.Compressed)/(1<<20)))
	}
	_, err := fmt.Fprintf(w, "%s.tar, %s/, %s.spdx.json: %s, %s; layers in MiB: %s; %.1f MiB beside the launcher and Docker's own programs; in %.1f s\n",
		filepath.Join(out, files.image), filepath.Join(out, files.layout), files.image, repository+":"+files.tag, image.ID()[:19],
		strings.Join(layers, ", "), float64(weights.RestSize())/(1<<20), took.Seconds())
	return err
}
