// Goal: the runner expands and compares as docs/conformance.md says, whatever the server does.
//
// Method: the examples of tests/conformance/examples.yaml, which every runner reads.
package conformance

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func examples(t *testing.T, list string) []any {
	t.Helper()
	text, err := os.ReadFile("../examples.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	node := document[list]
	found, _ := valueOf(&node).([]any)
	if len(found) == 0 {
		t.Fatalf("there are no examples of %s", list)
	}
	return found
}

func exampleVariables(t *testing.T) *Variables {
	t.Helper()
	variables, err := NewVariables([]Text{{"x", "X"}, {"y", "${x}!"}})
	if err != nil {
		t.Fatal(err)
	}
	variables.Set("n", 4)
	return variables
}

func TestComparing(t *testing.T) {
	for _, item := range examples(t, "comparing") {
		one := item.(object)
		problems := Differences(one["expected"], one["actual"], "")
		if (len(problems) > 0) != (one["differs"] == true) {
			t.Errorf("%s: %q", compact(one), problems)
		}
	}
}

func TestExpanding(t *testing.T) {
	for _, item := range examples(t, "expanding") {
		one := item.(object)
		found, err := Expand(one["value"], exampleVariables(t))
		if err != nil || !reflect.DeepEqual(found, one["becomes"]) {
			t.Errorf("%s: became %s, %v", compact(one), compact(found), err)
		}
	}
}

func TestAWrongCaseIsToldFromAWrongServer(t *testing.T) {
	for _, value := range examples(t, "refused") {
		var refused *CaseError
		if found, err := Expand(value, exampleVariables(t)); !errors.As(err, &refused) {
			t.Errorf("%s: became %s, %v", compact(value), compact(found), err)
		}
	}
}

func TestFreshIDsKeepTheirNames(t *testing.T) {
	variables := exampleVariables(t)
	found, err := variables.FillIn("${uuid.a} ${uuid.a} ${uuid_upper.a} ${uuid.b}")
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.Fields(found)
	if ids[0] != ids[1] || strings.ToUpper(ids[0]) != ids[2] || ids[0] == ids[3] {
		t.Error(found)
	}
	if problems := Differences("$uuid", ids[0], ""); problems != nil {
		t.Error(problems)
	}
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	cases, err := ParseCases([]byte(`
subject: numbers
cases:
  - name: one
    steps: [{call: A.B, request: {plain: 123456789012345678901234567890, quoted: "1", off: no}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"off":"no","plain":123456789012345678901234567890,"quoted":"1"}`
	if found := compact(cases[0].Steps[0]["request"]); found != want {
		t.Errorf("read %s", found)
	}
}
