// Whether Go's note and tlog accept the notes, trees and proofs of a kit: sumdb KIT.json
// The packages are those of golang.org/x/mod; a Go toolchain brings a copy of them (see interop.py).
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"interop/note"
	"interop/tlog"
)

type found struct {
	ID, Check, Twin, Note, Vkey, Folder, Root, OldRoot, Leaf, Proof string
	Size, Old, Index                                                 int64
	Hashes                                                           []string
}

// tiles reads C2SP tlog-tiles, which lack the height in their path.
type tiles struct{ folder string }

func (t tiles) Height() int                    { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		content, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		read = append(read, content)
	}
	return read, nil
}

// witness is a note.Verifier of C2SP cosignature/v1.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	said := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig[:8]), text)
	return ed25519.Verify(w.key, []byte(said), sig[8:])
}

func witnessOf(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, errors.New("no key of a witness")
	}
	return witness{parts[0], uint32(hash), key[1:]}, nil
}

func hashOf(text string) tlog.Hash {
	h, err := tlog.ParseHash(text)
	if err != nil {
		panic(err)
	}
	return h
}

func opened(text string, v note.Verifier, size int64, root string) error {
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return errors.New("not a checkpoint")
	}
	if lines[1] != strconv.FormatInt(size, 10) || lines[2] != root {
		return errors.New("another tree")
	}
	return nil
}

func proofFile(f found) error {
	content, _ := base64.StdEncoding.DecodeString(f.Proof)
	head, signed, ok := strings.Cut(string(content), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("no proof")
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var hashes tlog.RecordProof
	for _, line := range lines[3:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		hashes = append(hashes, h)
	}
	v, err := note.NewVerifier(f.Vkey)
	if err != nil {
		return err
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return err
	}
	said := strings.Split(n.Text, "\n")
	size, err := strconv.ParseInt(said[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(said[2])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, size, root, index, tlog.RecordHash(entry))
}

func check(f found) error {
	var hashes []tlog.Hash
	for _, text := range f.Hashes {
		hashes = append(hashes, hashOf(text))
	}
	switch f.Check {
	case "note":
		v, err := note.NewVerifier(f.Vkey)
		if err != nil {
			return err
		}
		return opened(f.Note, v, f.Size, f.Root)
	case "cosignature":
		v, err := witnessOf(f.Vkey)
		if err != nil {
			return err
		}
		return opened(f.Note, v, f.Size, f.Root)
	case "tree":
		tree := tlog.Tree{N: f.Size, Hash: hashOf(f.Root)}
		reader := tlog.TileHashReader(tree, tiles{f.Folder})
		for i := int64(0); i < f.Size; i++ { // every leaf, each tile checked against the root
			if _, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, i)}); err != nil {
				return err
			}
		}
		root, err := tlog.TreeHash(f.Size, reader)
		if err == nil && root != tree.Hash {
			err = errors.New("another root")
		}
		return err
	case "inclusion":
		return tlog.CheckRecord(hashes, f.Size, hashOf(f.Root), f.Index, hashOf(f.Leaf))
	case "consistency":
		return tlog.CheckTree(hashes, f.Size, hashOf(f.Root), f.Old, hashOf(f.OldRoot))
	case "proof":
		return proofFile(f)
	}
	return nil
}

func main() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var all []found
	if err := json.Unmarshal(content, &all); err != nil {
		panic(err)
	}
	verdicts := map[string]bool{}
	for _, f := range all {
		switch f.Check {
		case "note", "cosignature", "tree", "inclusion", "consistency", "proof":
			err := check(f)
			verdicts[f.ID] = err == nil
			if err != nil && f.Twin == "honest" {
				fmt.Fprintln(os.Stderr, f.ID, err)
			}
		}
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
