package config

import (
	"cmp"
	"slices"
	"strings"
)

// nearest is the known name, or the _FILE form of one for a name that ends like
// it, that name was most likely meant to be.
func nearest(name string, known []string) string {
	name = strings.ToUpper(name)
	switch name {
	case "PORT", "HOST", "LISTEN", "LISTEN_ADDRESS": // as many programs call it
		return "ADDRESS"
	}
	candidates := known
	if strings.HasSuffix(name, "FILE") {
		candidates = slices.Clone(known)
		for _, k := range known {
			candidates = append(candidates, k+"_FILE")
		}
	}
	return slices.MaxFunc(candidates, func(a, b string) int {
		return cmp.Compare(similarity(name, a), similarity(name, b))
	})
}

// similarity is 1 for equal texts and 0 for those that share no byte: the part
// of both that is their longest common subsequence. Unlike the bare number of
// edits it does not favour short names.
func similarity(a, b string) float64 {
	// row[j] is the length of that subsequence for b[:j] and a up to here.
	row := make([]int, len(b)+1)
	for i := range len(a) {
		diagonal := 0
		for j := range len(b) {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return 2 * float64(row[len(b)]) / float64(len(a)+len(b))
}
