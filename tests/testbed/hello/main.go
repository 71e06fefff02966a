// Hello is the only file of an image that is made from scratch.
package main

import "fmt"

func main() { fmt.Println("Hello from scratch!") }
