package dev.eventfold.conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.schema.CoreSchema;

/**
 * One case of a file.
 *
 * <p>Values of cases and of answers are what Java has for JSON: null, Boolean, String, whole
 * numbers, List and Map. No number ever passes through a float.
 *
 * @param subject the file
 * @param name unique in the file
 * @param texts what the file declares under {@code let}, in its order
 * @param server where steps run that do not say it
 * @param steps the steps
 * @param fails of a case that must fail: what the runner must say then
 */
record Case(
        String subject,
        String name,
        Map<String, Object> texts,
        String server,
        List<Map<String, Object>> steps,
        String fails) {

    /** Unique over all files. */
    String id() {
        return subject + "/" + name;
    }

    String target(Map<String, Object> step) {
        return (String) step.getOrDefault("server", server);
    }

    /** Every place where steps of the case run. */
    TreeSet<String> targets() {
        TreeSet<String> targets = new TreeSet<>();
        steps.forEach(step -> targets.add(target(step)));
        return targets;
    }

    /** The cases of all files of a folder, in the order of their names. */
    static List<Case> ofFolder(Path folder) throws IOException {
        List<Case> cases = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.sorted().toList()) {
                cases.addAll(ofFile(file));
            }
        }
        return cases;
    }

    static List<Case> ofFile(Path file) throws IOException {
        return parse(Files.readString(file));
    }

    static List<Case> parse(String text) {
        Map<String, Object> document = Values.object(yaml(text));
        List<Case> cases = new ArrayList<>();
        for (Object item : Values.list(document.get("cases"))) {
            Map<String, Object> one = Values.object(item);
            List<Map<String, Object>> steps = new ArrayList<>();
            Values.list(one.get("steps")).forEach(step -> steps.add(Values.object(step)));
            cases.add(
                    new Case(
                            (String) document.get("subject"),
                            (String) one.get("name"),
                            Values.object(document.getOrDefault("let", new LinkedHashMap<>())),
                            (String) one.getOrDefault("server", "shared"),
                            steps,
                            (String) one.getOrDefault("fails", "")));
        }
        return cases;
    }

    static Object yaml(String text) {
        LoadSettings settings = LoadSettings.builder().setSchema(new CoreSchema()).build();
        return new Load(settings).loadFromString(text);
    }
}
