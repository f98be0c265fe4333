package io.llamafu.docs;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Before every block of shell commands, a comment that readers do not see says what runs them, {@code <!-- run by
 * RoutingJobIT, .ci/run -->}, or why nothing does: {@code <!-- not run: needs a container engine -->}. What is named exists
 * and, if the commands run an example, mentions that example.
 */
class CommandsTest {
    private static final Pattern BLOCK = Pattern.compile("(?ms)^( *)```(\\w*)\\n(.*?)^ *```");
    private static final Pattern RUN = Pattern.compile("<!-- run by ([\\w./, -]+?) -->");
    private static final Pattern NOT_RUN = Pattern.compile("<!-- not run: (.{10,}?) -->");
    private static final Pattern EXAMPLE = Pattern.compile("examples/run ([a-z][a-z-]*)");

    private static final Pages PAGES = Pages.read();

    @Test
    void everyCommandIsRunOrSaysWhyNot() throws IOException {
        List<String> faults = new ArrayList<>();
        int blocks = 0;
        for (Map.Entry<Path, String> page : PAGES.texts().entrySet()) {
            Matcher block = BLOCK.matcher(page.getValue());
            while (block.find()) {
                if (isShell(block.group(2), block.group(3))) {
                    blocks++;
                    String before = page.getValue().substring(0, block.start()).stripTrailing();
                    fault(before.substring(before.lastIndexOf('\n') + 1).strip(), block.group(3))
                            .ifPresent(fault -> faults.add("%s: %s%n%s"
                                    .formatted(Pages.ROOT.relativize(page.getKey()), fault, block.group(3))));
                }
            }
        }

        assertThat(blocks).isGreaterThan(30);
        assertThat(faults).isEmpty();
    }

    private static boolean isShell(String language, String text) {
        return language.equals("sh") || (language.isEmpty() && text.startsWith("$ "));
    }

    private static Optional<String> fault(String mark, String commands) throws IOException {
        if (NOT_RUN.matcher(mark).matches()) {
            return Optional.empty();
        }
        Matcher run = RUN.matcher(mark);
        if (!run.matches()) {
            return Optional.of("no comment before it says what runs these commands, or why nothing does");
        }
        StringBuilder runners = new StringBuilder();
        for (String name : run.group(1).split(", ", -1)) {
            Path file = PAGES.tests().getOrDefault(name, Pages.ROOT.resolve(name));
            if (!Files.isRegularFile(file)) {
                return Optional.of("there is neither a test nor a file " + name);
            }
            runners.append(Files.readString(file));
        }
        return EXAMPLE.matcher(commands)
                .results()
                .map(example -> example.group(1))
                .filter(example -> !runs(runners.toString(), example))
                .findFirst()
                .map(example -> "%s does not run the example %s".formatted(run.group(1), example));
    }

    /** A test names the main class of the example; a script may take the commands from its page. */
    private static boolean runs(String runner, String example) {
        String mainClass = PAGES.examples().getOrDefault(example, example);
        return runner.contains(mainClass.substring(mainClass.lastIndexOf('.') + 1))
                || runner.contains("examples/run " + example)
                || runner.contains("$page");
    }
}
