// Adds up the second column of a CSV table by the first: the table comes in on standard input, the sums go out as JSON.
package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "groupby:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	rows := csv.NewReader(in)
	rows.FieldsPerRecord = 2
	rows.ReuseRecord = true
	sums := map[string]float64{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		amount, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			line, _ := rows.FieldPos(1)
			return fmt.Errorf("line %d: %q is not a number", line, row[1])
		}
		sums[row[0]] += amount
	}
	// Keys of a map are written in their order, so that the same table gives the same text.
	return json.NewEncoder(out).Encode(sums)
}
