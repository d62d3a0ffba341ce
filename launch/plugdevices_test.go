package launch

import "testing"

func TestMayWait(t *testing.T) {
	for alias, c := range map[string]struct{ disk, noDisk bool }{
		"cpu:type:x86,ven0000fam0006mod0055:feature:,0000,0001":             {true, true},
		"pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00":             {true, true},   // a display
		"pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00":             {false, true},  // a virtio disk
		"pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02":             {false, true},  // NVMe
		"pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00":             {false, false}, // a network card
		"pci:v0000BC03d0000BC01sv00001AF4sd00001100bc02sc00i00":             {false, false}, // one whose numbers look like classes
		"virtio:d00000002v00001AF4":                                         {false, false},
		"acpi:PNP0C0C:":                                                     {false, false}, // the power button
		"input:b0011v0001p0001eAB41-e0,1,4,11,14,k71,72,73,ram4,l0,1,2,sfw": {false, false},
		"usb:vabc01d0000": {false, false},
	} {
		if got := mayWait(alias, false); got != c.disk {
			t.Errorf("%s: %v with a disk", alias, got)
		}
		if got := mayWait(alias, true); got != c.noDisk {
			t.Errorf("%s: %v without", alias, got)
		}
	}
}
