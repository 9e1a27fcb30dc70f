package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const shownRunesMax = 300

// Texts of expectations that stand for more than themselves.
var patterns = map[string]*regexp.Regexp{
	"$uuid": whole(`[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}`),
	"$uuid7": whole(
		`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`),
	"$time": whole(
		`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z`),
	"$digest":   whole(`[0-9a-f]{64}`),
	"$positive": whole(`[1-9][0-9]*`),
	"$nonempty": whole(`.+`),
}

func whole(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)\A(?:` + pattern + `)\z`)
}

// Differences tells what of the answer is not as expected, one sentence each; none: it is.
func Differences(expected, actual any, path string) []string {
	switch expected := expected.(type) {
	case object:
		return objectDifferences(expected, actual, path)
	case []any:
		return listDifferences(expected, actual, path)
	case nil:
		if actual != nil {
			return []string{differs(path, "nothing", actual)}
		}
		return nil
	case string:
		if expected == "$any" {
			return nil
		}
		if pattern, ok := patterns[expected]; ok {
			if actual == nil || !pattern.MatchString(textOf(actual)) {
				return []string{differs(path, expected, actual)}
			}
			return nil
		}
	}
	if !scalarsAgree(textOf(expected), actual) {
		return []string{differs(path, expected, actual)}
	}
	return nil
}

func scalarsAgree(expected string, actual any) bool {
	switch actual.(type) {
	case object, []any:
		return false
	case nil:
		// JSON of protobuf may leave out fields that have their default.
		return expected == "" || expected == "0" || expected == "false"
	}
	return expected == textOf(actual)
}

func objectDifferences(expected object, actual any, path string) []string {
	for name, operator := range operators {
		if operand, ok := expected[name]; ok {
			if problem := operator(operand, actual); problem != "" {
				return []string{path + ": " + problem}
			}
			return nil
		}
	}
	found, ok := actual.(object)
	if !ok {
		return []string{differs(path, expected, actual)}
	}
	var problems []string
	for _, key := range sortedKeys(expected) {
		inner := key
		if path != "" {
			inner = path + "." + key
		}
		problems = append(problems, Differences(expected[key], found[key], inner)...)
	}
	return problems
}

func sortedKeys(value object) []string {
	keys := make([]string, 0, len(value))
	for key := range value {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func listDifferences(expected []any, actual any, path string) []string {
	found, ok := listOf(actual)
	if !ok {
		return []string{differs(path, expected, actual)}
	}
	if len(found) != len(expected) {
		return []string{fmt.Sprintf("%s: expected %d items, got %d: %s",
			path, len(expected), len(found), shown(found))}
	}
	var problems []string
	for index, item := range expected {
		inner := path + "." + strconv.Itoa(index)
		problems = append(problems, Differences(item, found[index], inner)...)
	}
	return problems
}

// listOf returns the items of a list; one that is missing has none.
func listOf(actual any) ([]any, bool) {
	if actual == nil {
		return nil, true
	}
	found, ok := actual.([]any)
	return found, ok
}

// Mappings of one of these keys are a demand of their own, which tells what is wrong, or nothing.
var operators map[string]func(expected, actual any) string

func init() {
	// Not where it is declared: they compare items, and so refer to themselves.
	operators = map[string]func(expected, actual any) string{
		"$count":         count,
		"$at_least":      func(e, a any) string { return ordered(e, a, "least", 1) },
		"$at_most":       func(e, a any) string { return ordered(e, a, "most", -1) },
		"$bytes_at_most": bytesAtMost,
		"$all":           all,
		"$contains":      contains,
		"$not":           not,
	}
}

func count(expected, actual any) string {
	found, ok := listOf(actual)
	if !ok {
		return "expected a list, got " + shown(actual)
	}
	if textOf(expected) != strconv.Itoa(len(found)) {
		return fmt.Sprintf("expected %s items, got %d", textOf(expected), len(found))
	}
	return ""
}

// ordered compares integers or times; the sign is that of an answer which is beyond the bound.
func ordered(expected, actual any, bound string, sign int) string {
	if actual == nil {
		actual = "0"
	}
	sides := [2]string{textOf(actual), textOf(expected)}
	problem := fmt.Sprintf("expected at %s %s, got %s", bound, sides[1], sides[0])
	var order int
	if patterns["$time"].MatchString(sides[0]) && patterns["$time"].MatchString(sides[1]) {
		found, failed := time.Parse(time.RFC3339Nano, sides[0])
		limit, broken := time.Parse(time.RFC3339Nano, sides[1])
		if failed != nil || broken != nil {
			return problem
		}
		order = found.Compare(limit)
	} else {
		found, ok := new(big.Int).SetString(sides[0], 10)
		limit, fine := new(big.Int).SetString(sides[1], 10)
		if !ok || !fine {
			return problem
		}
		order = found.Cmp(limit)
	}
	if order != 0 && order != sign {
		return problem
	}
	return ""
}

func bytesAtMost(expected, actual any) string {
	var data []byte
	if actual != nil {
		decoded, err := base64.StdEncoding.DecodeString(textOf(actual))
		if err != nil {
			return "expected bytes, got " + shown(actual)
		}
		data = decoded
	}
	most, err := integerOf(expected)
	if err != nil || len(data) > most {
		return fmt.Sprintf("expected at most %s bytes, got %d", textOf(expected), len(data))
	}
	return ""
}

func all(expected, actual any) string {
	found, ok := listOf(actual)
	if !ok {
		return "expected a list, got " + shown(actual)
	}
	var problems []string
	for index, item := range found {
		problems = append(problems, Differences(expected, item, strconv.Itoa(index))...)
	}
	return strings.Join(problems[:min(3, len(problems))], "; ")
}

// contains looks for the items among the actual ones, in this order.
func contains(expected, actual any) string {
	wanted, ok := listOf(expected)
	rest, fine := listOf(actual)
	if !ok || !fine {
		return "expected a list, got " + shown(actual)
	}
	for _, item := range wanted {
		at := 0
		for at < len(rest) && len(Differences(item, rest[at], "")) > 0 {
			at++
		}
		if at == len(rest) {
			return fmt.Sprintf("expected somewhere in order %s, got %s",
				shown(item), shown(actual))
		}
		rest = rest[at+1:]
	}
	return ""
}

func not(expected, actual any) string {
	if len(Differences(expected, actual, "")) > 0 {
		return ""
	}
	return "expected anything but " + shown(expected)
}

func differs(path string, expected, actual any) string {
	if actual == nil {
		actual = "nothing"
	}
	return fmt.Sprintf("%s: expected %s, got %s", path, decoded(expected), decoded(actual))
}

// decoded is the value, and its text if it looks like bytes of JSON in base64: for people.
func decoded(value any) string {
	text, ok := value.(string)
	if !ok || len(text) < 4 {
		return shown(value)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(data) || bytes.ContainsFunc(data, unprintable) {
		return shown(value)
	}
	return fmt.Sprintf("%s (%s)", shown(value), shown(string(data)))
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// shown is a value for people: a text as it is, the rest as JSON; not all of a long one.
func shown(value any) string {
	text, ok := value.(string)
	if !ok {
		text = compact(value)
	}
	if runes := []rune(text); len(runes) > shownRunesMax {
		return string(runes[:shownRunesMax]) + "..."
	}
	return text
}

func compact(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSuffix(text.String(), "\n")
}
