package config

import "strings"

// nearest is the known name, or the _FILE form of one, that name was most
// likely meant to be.
func nearest(name string, known []string) string {
	name = strings.ToUpper(name)
	switch name {
	case "PORT", "HOST", "LISTEN": // as many programs call it
		return "ADDRESS"
	}
	var best string
	most := -1.0
	for _, suffix := range []string{"", "_FILE"} {
		for _, candidate := range known {
			if likeness := similarity(name, candidate+suffix); likeness > most {
				best, most = candidate+suffix, likeness
			}
		}
	}
	return best
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
