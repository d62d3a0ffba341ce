package ociimage

import (
	"path"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// LayerName is one of the layers that an image can have.
type LayerName string

// The layers, the lowest first.
const (
	LayerDocker   LayerName = "docker"
	LayerBase     LayerName = "base"
	LayerGit      LayerName = "git"
	LayerLauncher LayerName = "launcher"
)

var layerOrder = []LayerName{LayerDocker, LayerBase, LayerGit, LayerLauncher}

// layerWhat is what the image's history says of each layer.
var layerWhat = map[LayerName]string{
	LayerDocker:   "Docker's own programs",
	LayerBase:     "what Docker's programs call and are linked with",
	LayerGit:      "git and ssh, for builds from git URLs",
	LayerLauncher: "the launcher, which is modprobe as well",
}

// Layer is a part of a tree.
type Layer struct {
	Name LayerName
	// Nodes are sorted by path, each behind the folders that it lies in.
	Nodes []*rootfs.Node
	// Time is the modification time of everything in the layer, in seconds since 1970.
	Time int64
}

// Split parts a planned tree into layers, the lowest first; those that have nothing are left out. A layer's time is the newest
// of the packages in it, and that of the launcher's layer is created. No time is later than latest, where that is not 0.
func Split(plan *rootfs.Manifest, created, latest int64) []Layer {
	s := splitter{groups: map[string]rootfs.Group{}, packages: map[string]LayerName{}, nodes: map[string]*rootfs.Node{}}
	for _, r := range plan.Requirements {
		s.groups[r.Name] = r.Group
	}
	built := map[string]int64{}
	for _, a := range plan.Archives {
		built[a.Name] = a.Built
	}
	for _, n := range plan.Nodes {
		s.nodes[n.Path] = n
		if name, ok := s.own(n); ok && n.Package != "" {
			if old, there := s.packages[n.Package]; !there || slices.Index(layerOrder, name) < slices.Index(layerOrder, old) {
				s.packages[n.Package] = name
			}
		}
	}
	parts := map[LayerName]map[string]*rootfs.Node{}
	for _, n := range plan.Nodes {
		if n.Kind == rootfs.KindFolder && len(n.For) == 0 && s.holds(n.Path) {
			continue // comes with what it holds
		}
		name := s.layer(n)
		if parts[name] == nil {
			parts[name] = map[string]*rootfs.Node{}
		}
		parts[name][n.Path] = n
		for dir := path.Dir(n.Path); dir != "."; dir = path.Dir(dir) {
			if folder := s.nodes[dir]; folder != nil {
				parts[name][dir] = folder
			}
		}
	}
	var layers []Layer
	for _, name := range layerOrder {
		if len(parts[name]) == 0 {
			continue
		}
		l := Layer{Name: name}
		for _, n := range parts[name] {
			l.Nodes = append(l.Nodes, n)
			l.Time = max(l.Time, built[n.Package])
		}
		if name == LayerLauncher {
			l.Time = created
		}
		if latest > 0 {
			l.Time = min(l.Time, latest)
		}
		slices.SortFunc(l.Nodes, func(a, b *rootfs.Node) int { return strings.Compare(a.Path, b.Path) })
		layers = append(layers, l)
	}
	return layers
}

type splitter struct {
	groups   map[string]rootfs.Group // by requirement
	packages map[string]LayerName    // the lowest layer that has something of a package
	nodes    map[string]*rootfs.Node
}

// own tells which layer a node belongs to for what it is there for. What has no such reason, or is there for its package's
// sake, has none.
func (s *splitter) own(n *rootfs.Node) (LayerName, bool) {
	best := LayerName("")
	for _, name := range n.For {
		var layer LayerName
		switch group := s.groups[name]; {
		case group == rootfs.GroupNotices:
			continue
		case group == rootfs.GroupLauncher:
			layer = LayerLauncher
		case group == rootfs.GroupGit:
			layer = LayerGit
		case group == rootfs.GroupDocker && !n.Library:
			layer = LayerDocker
		default:
			layer = LayerBase
		}
		if best == "" || slices.Index(layerOrder, layer) < slices.Index(layerOrder, best) {
			best = layer
		}
	}
	return best, best != ""
}

func (s *splitter) layer(n *rootfs.Node) LayerName {
	if name, ok := s.own(n); ok {
		return name
	}
	if name, ok := s.packages[n.Package]; ok && len(n.For) > 0 {
		return name
	}
	return LayerBase
}

// holds tells whether anything lies in a folder.
func (s *splitter) holds(dir string) bool {
	for name := range s.nodes {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}
