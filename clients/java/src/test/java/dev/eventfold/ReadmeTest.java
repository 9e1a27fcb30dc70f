package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Goal: what the README shows runs. Method: its program is compiled and run on a real server. */
class ReadmeTest {
    /** The folder of the client, wherever the tests are started. */
    static Path folder() {
        Path here = Path.of("").toAbsolutePath();
        return Files.exists(here.resolve("clients/java")) ? here.resolve("clients/java") : here;
    }

    private static String block(String text, String tag) {
        Matcher found =
                Pattern.compile("(?s)\n```" + tag + "\n(.*?\n)```\n").matcher(text);
        assertTrue(found.find(), "the README has no block of " + tag);
        return found.group(1);
    }

    @Test
    void theProgramOfTheReadmeRuns(@TempDir Path temporary) throws Exception {
        String readme = Files.readString(folder().resolve("README.md"));
        Path source = temporary.resolve("Quickstart.java");
        Files.writeString(source, block(readme, "java"));
        int status =
                ToolProvider.getSystemJavaCompiler()
                        .run(
                                null,
                                null,
                                null,
                                "-d",
                                temporary.toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                source.toString());
        assertEquals(0, status);
        URL[] classes = {temporary.toUri().toURL()};
        PrintStream screen = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try (World world = new World();
                URLClassLoader loader =
                        new URLClassLoader(classes, Event.class.getClassLoader())) {
            String[] arguments = {world.server().address()};
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            loader.loadClass("Quickstart")
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) arguments);
        } finally {
            System.setOut(screen);
        }
        assertEquals(block(readme, "text"), printed.toString(StandardCharsets.UTF_8));
    }
}
