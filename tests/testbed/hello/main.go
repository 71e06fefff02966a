// Hello is the program of the small images. It says where it is from, which
// is a file beside it, or from scratch if there is nothing else.
package main

import (
	"fmt"
	"os"
)

func main() {
	from, err := os.ReadFile("/from")
	if err != nil {
		from = []byte("scratch")
	}
	fmt.Printf("Hello from %s!\n", from)
}
