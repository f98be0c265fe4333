package io.llamafu.flink.table;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A fenced block of a page.
 *
 * @param page relative to the repository
 * @param line of its first line, from 1
 */
record Snippet(Path page, int line, String text) {
    private static final Path ROOT = Path.of("..");

    /** Of the pages for users, in the order of their names. */
    static List<Snippet> ofAllPages(String language) throws IOException {
        List<Snippet> snippets = new ArrayList<>(of(ROOT.resolve("README.md"), language));
        for (String folder : List.of("docs", "docker")) {
            try (Stream<Path> files = Files.walk(ROOT.resolve(folder))) {
                for (Path page : files.filter(file -> file.toString().endsWith(".md")
                                && !file.toString().contains("node_modules"))
                        .sorted()
                        .toList()) {
                    snippets.addAll(of(page, language));
                }
            }
        }
        return snippets;
    }

    private static List<Snippet> of(Path page, String language) throws IOException {
        String content = Files.readString(page);
        Matcher fence = Pattern.compile("(?ms)^```" + Pattern.quote(language) + "\\n(.*?)^```")
                .matcher(content);
        List<Snippet> snippets = new ArrayList<>();
        while (fence.find()) {
            int line = (int) content.substring(0, fence.start(1)).lines().count() + 1;
            snippets.add(new Snippet(ROOT.relativize(page), line, fence.group(1)));
        }
        return snippets;
    }

    @Override
    public String toString() {
        return page + ":" + line;
    }
}
