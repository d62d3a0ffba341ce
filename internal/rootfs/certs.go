package rootfs

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
)

// certificates adds the bundle of all authorities.
func (p *planner) certificates(r Requirement) error {
	var bundle bytes.Buffer
	var pkg string
	for _, pattern := range r.Globs {
		names, err := p.x.glob(pattern)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return missingProgram(r, pattern)
		}
		for _, name := range names {
			pkg = p.x.items[name].pkg
			raw, err := os.ReadFile(p.x.items[name].data)
			if err != nil {
				return fmt.Errorf("reading a certificate: %w", err)
			}
			if err := appendCertificate(&bundle, name, raw); err != nil {
				return err
			}
		}
	}
	return p.add(&Node{
		Path: r.Files[0].Path, Kind: KindFile, Mode: 0o644, Size: int64(bundle.Len()), Package: pkg, For: []string{r.Name}, content: bundle.Bytes(),
	})
}

// appendCertificate appends a file as update-ca-certificates(8) does: as it is, with a line end where the last line has none.
func appendCertificate(bundle *bytes.Buffer, name string, raw []byte) error {
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("%s is no certificate in PEM form", name)
	}
	bundle.Write(raw)
	if !bytes.HasSuffix(raw, []byte("\n")) {
		bundle.WriteByte('\n')
	}
	return nil
}
