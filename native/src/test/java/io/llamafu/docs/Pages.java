package io.llamafu.docs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The pages of the repository, and what they may refer to.
 *
 * @param texts of the pages, by their absolute path
 * @param tests the source files of the tests, by name
 * @param examples the main class of each example that {@code examples/run} knows, by name
 */
record Pages(Map<Path, String> texts, Map<String, Path> tests, Map<String, String> examples) {
    static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    /** Build outputs, and folders that are not in version control. */
    private static final Set<String> SKIPPED = Set.of("target", ".git", "work", "node_modules", "savepoints");

    private static final Pattern EXAMPLE = Pattern.compile("(?m)^ {4}\"([a-z-]+)\\|([\\w.]+)\\|");

    static Pages read() {
        Map<Path, String> texts = new TreeMap<>();
        Map<String, Path> tests = new TreeMap<>();
        try {
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
                        texts.put(file, Files.readString(file));
                    } else if (name.endsWith("Test.java") || name.endsWith("IT.java")) {
                        tests.put(name.replace(".java", ""), file);
                    }
                    return FileVisitResult.CONTINUE;
                }
            });
            Map<String, String> examples = EXAMPLE.matcher(Files.readString(ROOT.resolve("examples/run")))
                    .results()
                    .collect(Collectors.toMap(example -> example.group(1), example -> example.group(2)));
            return new Pages(texts, tests, examples);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The first groups of all matches. */
    Set<String> mentioned(Pattern pattern) {
        return texts.values().stream()
                .flatMap(text -> pattern.matcher(text).results())
                .map((MatchResult found) -> found.group(1))
                .collect(Collectors.toSet());
    }
}
