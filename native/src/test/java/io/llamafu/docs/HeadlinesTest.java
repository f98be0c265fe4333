package io.llamafu.docs;

import org.junit.jupiter.api.Test;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** A figure that a page quotes from a section of performance.md stands in that section. */
class HeadlinesTest {
    private static final Pattern QUOTED_SECTION = Pattern.compile("\\]\\((?:docs/)?performance\\.md#([^)]+)\\)");
    private static final Pattern FIGURE = Pattern.compile("(?<![\\w.])\\d+\\.\\d+(?![\\w.]*\\w)");
    private static final Pattern BULLETS_AND_PARAGRAPHS = Pattern.compile("\\n(?=\\* |\\n)");

    private static final Pages PAGES = Pages.read();

    @Test
    void quotedFiguresStandInTheirSection() {
        List<String> unfounded = new ArrayList<>();
        int quoted = 0;
        for (String page : List.of("README.md", "docs/comparison.md")) {
            for (String paragraph :
                    BULLETS_AND_PARAGRAPHS.splitAsStream(text(page)).toList()) {
                List<String> sections = QUOTED_SECTION
                        .matcher(paragraph)
                        .results()
                        .map((MatchResult link) -> section(link.group(1)))
                        .toList();
                if (!sections.isEmpty()) {
                    List<BigDecimal> measured = figures(String.join("\n", sections));
                    List<BigDecimal> figures = figures(paragraph);
                    quoted += figures.size();
                    figures.stream()
                            .filter(figure -> measured.stream().noneMatch(value -> isRounded(figure, value)))
                            .forEach(figure -> unfounded.add(page + ": " + figure));
                }
            }
        }

        assertThat(quoted).isGreaterThanOrEqualTo(10);
        assertThat(unfounded).isEmpty();
    }

    private static boolean isRounded(BigDecimal figure, BigDecimal measured) {
        return measured.setScale(figure.scale(), RoundingMode.HALF_UP).compareTo(figure) == 0;
    }

    private static List<BigDecimal> figures(String text) {
        return FIGURE.matcher(text)
                .results()
                .map((MatchResult figure) -> new BigDecimal(figure.group()))
                .toList();
    }

    private static String text(String page) {
        return PAGES.texts().get(Pages.ROOT.resolve(page));
    }

    /** From the heading with this anchor to the next heading of its level or above. */
    private static String section(String anchor) {
        Pattern heading = Pattern.compile("(?m)^(#+) " + anchor.replace("-", "\\W+") + "\\n", Pattern.CASE_INSENSITIVE);
        String page = text("docs/performance.md");
        MatchResult start = heading.matcher(page)
                .results()
                .findFirst()
                .orElseThrow(() -> new AssertionError("No section %s".formatted(anchor.toLowerCase(Locale.ROOT))));
        Pattern next = Pattern.compile("(?m)^#{1,%d} ".formatted(start.group(1).length()));
        String rest = page.substring(start.end());
        return next.matcher(rest)
                .results()
                .findFirst()
                .map(end -> rest.substring(0, end.start()))
                .orElse(rest);
    }
}
