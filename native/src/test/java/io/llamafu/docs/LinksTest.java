package io.llamafu.docs;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

/** What pages refer to exists: files, sections, examples and tests. */
class LinksTest {
    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    /** Build outputs, and folders that are not in version control. */
    private static final Set<String> SKIPPED = Set.of("target", ".git", "work", "node_modules", "savepoints");

    private static final Pattern FENCE = Pattern.compile("(?ms)^ *```.*?^ *```");
    private static final Pattern CODE = Pattern.compile("`[^`\\n]*`");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
    private static final Pattern HEADING = Pattern.compile("(?m)^#+ (.+)$");
    private static final Pattern EXAMPLE = Pattern.compile("examples/run ([a-z][a-z-]*)");
    private static final Pattern TEST = Pattern.compile("(?:-Dtest=|-Dit\\.test=)'?!?([A-Za-z0-9,]+)");

    private static final Map<Path, String> PAGES = new TreeMap<>();
    private static final Set<String> TESTS = new HashSet<>();

    @BeforeAll
    static void read() throws IOException {
        Files.walkFileTree(ROOT, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
                boolean skipped = SKIPPED.contains(folder.getFileName().toString());
                return skipped ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                String name = file.getFileName().toString();
                if (name.endsWith(".md")) {
                    PAGES.put(file, Files.readString(file));
                } else if (name.endsWith("Test.java") || name.endsWith("IT.java")) {
                    TESTS.add(name.replace(".java", ""));
                }
                return FileVisitResult.CONTINUE;
            }
        });
    }

    @Test
    void linksLeadToFilesAndSectionsThatExist() {
        List<String> broken = new ArrayList<>();
        PAGES.forEach((page, text) -> LINK.matcher(withoutCode(text))
                .results()
                .map((MatchResult link) -> link.group(1))
                .filter(link -> !link.matches("[a-z]+:.*"))
                .filter(link -> !leadsSomewhere(page, link))
                .forEach(link -> broken.add(ROOT.relativize(page) + ": " + link)));

        assertThat(PAGES).hasSizeGreaterThan(20);
        assertThat(broken).isEmpty();
    }

    private static boolean leadsSomewhere(Path page, String link) {
        int hash = link.indexOf('#');
        String path = hash < 0 ? link : link.substring(0, hash);
        Path target = path.isEmpty()
                ? page
                : page.resolveSibling(path).toAbsolutePath().normalize();
        if (!Files.exists(target)) {
            return false;
        }
        return hash < 0 || sections(target).contains(link.substring(hash + 1));
    }

    /** As GitHub names them. */
    private static Set<String> sections(Path page) {
        Map<String, Integer> seen = new HashMap<>();
        return HEADING.matcher(withoutFences(PAGES.getOrDefault(page, "")))
                .results()
                .map((MatchResult heading) -> heading.group(1)
                        .strip()
                        .replaceAll("\\[([^\\]]*)\\]\\([^)]*\\)", "$1")
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[^\\p{L}\\p{N}_ -]", "")
                        .replace(' ', '-'))
                .map(name -> {
                    int before = seen.merge(name, 1, Integer::sum) - 1;
                    return before == 0 ? name : name + "-" + before;
                })
                .collect(Collectors.toSet());
    }

    private static String withoutFences(String text) {
        return FENCE.matcher(text).replaceAll("");
    }

    private static String withoutCode(String text) {
        return CODE.matcher(withoutFences(text)).replaceAll("");
    }

    @Test
    void examplesExist() throws IOException {
        String script = Files.readString(ROOT.resolve("examples/run"));
        Set<String> examples = Pattern.compile("(?m)^ {4}\"([a-z-]+)\\|")
                .matcher(script)
                .results()
                .map((MatchResult example) -> example.group(1))
                .collect(Collectors.toSet());

        assertThat(examples).isNotEmpty();
        assertThat(mentioned(EXAMPLE)).isNotEmpty().allSatisfy(example -> assertThat(example)
                .isIn(examples));
    }

    @Test
    void testsExist() {
        assertThat(mentioned(TEST)).isNotEmpty().allSatisfy(names -> assertThat(names.split(","))
                .filteredOn(name -> !name.equals("none"))
                .isSubsetOf(TESTS));
    }

    private static Set<String> mentioned(Pattern pattern) {
        return PAGES.values().stream()
                .flatMap(text -> pattern.matcher(text).results())
                .map((MatchResult found) -> found.group(1))
                .collect(Collectors.toSet());
    }
}
