package io.llamafu.docs;

import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

/** What pages refer to exists: files, sections, examples and tests. */
class LinksTest {
    private static final Pattern FENCE = Pattern.compile("(?ms)^ *```.*?^ *```");
    private static final Pattern CODE = Pattern.compile("`[^`\\n]*`");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
    private static final Pattern HEADING = Pattern.compile("(?m)^#+ (.+)$");
    private static final Pattern EXAMPLE = Pattern.compile("examples/run ([a-z][a-z-]*)");
    private static final Pattern TEST = Pattern.compile("(?:-Dtest=|-Dit\\.test=)'?!?([A-Za-z0-9,]+)");

    private static final Pages PAGES = Pages.read();

    @Test
    void linksLeadToFilesAndSectionsThatExist() {
        List<String> broken = new ArrayList<>();
        PAGES.texts().forEach((page, text) -> LINK.matcher(withoutCode(text))
                .results()
                .map((MatchResult link) -> link.group(1))
                .filter(link -> !link.matches("[a-z]+:.*"))
                .filter(link -> !leadsSomewhere(page, link))
                .forEach(link -> broken.add(Pages.ROOT.relativize(page) + ": " + link)));

        assertThat(PAGES.texts()).hasSizeGreaterThan(20);
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
        return HEADING.matcher(withoutFences(PAGES.texts().getOrDefault(page, "")))
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
    void examplesExist() {
        assertThat(PAGES.mentioned(EXAMPLE)).isNotEmpty().allSatisfy(example -> assertThat(example)
                .isIn(PAGES.examples().keySet()));
    }

    @Test
    void testsExist() {
        assertThat(PAGES.mentioned(TEST)).isNotEmpty().allSatisfy(names -> assertThat(names.split(","))
                .filteredOn(name -> !name.equals("none"))
                .isSubsetOf(PAGES.tests().keySet()));
    }
}
