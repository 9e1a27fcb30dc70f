package eventfold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eventfold.dev/go/internal/servers"
)

// Goal: the README says what is true. Method: its program is run as it stands there, and has to
// print what its comments say.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```go\n")
	program, _, isThere := strings.Cut(rest, "```\n")
	if !isThere {
		t.Fatal("the README has no program")
	}
	wanted := []string{}
	for _, line := range strings.Split(program, "\n") {
		_, said, isSaid := strings.Cut(line, ") // ")
		if !isSaid {
			said, isSaid = strings.CutPrefix(line, "    // ")
			isSaid = isSaid && strings.Contains(said, "{")
		}
		if isSaid {
			wanted = append(wanted, said)
		}
	}
	if len(wanted) != 4 {
		t.Fatalf("found what %d lines print: %q", len(wanted), wanted)
	}
	// In a folder of the module, so that it is built against this very client.
	folder, err := os.MkdirTemp(".", "_readme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "main.go")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	address := servers.New(t).Ask("server").Address
	printed, err := exec.CommandContext(limited(t), "go", "run", path, address).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	if found := strings.TrimSpace(string(printed)); found != strings.Join(wanted, "\n") {
		t.Errorf("it printed\n%s\nand not\n%s", found, strings.Join(wanted, "\n"))
	}
}
