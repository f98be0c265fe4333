package io.llamafu.examples.benchmark;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Groups of horizontal bars, as SVG without scripts or fonts, readable on light and dark pages. */
final class BarChart {
    private static final int WIDTH = 760;
    private static final int LABEL_WIDTH = 290;
    private static final int VALUE_WIDTH = 70;
    private static final int MARGIN = 16;
    private static final int BAR_HEIGHT = 18;
    private static final int BAR_STEP = 25;
    private static final int TITLE_HEIGHT = 34;
    private static final int GROUP_HEIGHT = 34;

    private static final String STYLE =
            """
            text { font: 13px system-ui, sans-serif; fill: #1f2328 }
            .title { font-size: 16px; font-weight: 600 }
            .group { font-weight: 600 }
            .value { font-variant-numeric: tabular-nums }
            .bar { fill: #8c959f }
            .ours { fill: #0969da }
            @media (prefers-color-scheme: dark) {
              text { fill: #e6edf3 }
              .bar { fill: #6e7681 }
              .ours { fill: #4493f8 }
            }
            """;

    private record Bar(String label, double value, boolean highlighted) {}

    private record Group(String title, List<Bar> bars) {
        double greatest() {
            return bars.stream().mapToDouble(Bar::value).max().orElse(1);
        }
    }

    private final String title;
    private final List<Group> groups = new ArrayList<>();

    BarChart(String title) {
        this.title = title;
    }

    /** Starts a group; its bars have a separate scale. */
    BarChart group(String groupTitle) {
        groups.add(new Group(groupTitle, new ArrayList<>()));
        return this;
    }

    BarChart bar(String label, double value, boolean highlighted) {
        groups.get(groups.size() - 1).bars().add(new Bar(label, value, highlighted));
        return this;
    }

    String svg() {
        StringBuilder body = new StringBuilder();
        text(body, "title", MARGIN, MARGIN + 14, "start", title);
        int y = MARGIN + TITLE_HEIGHT;
        for (Group group : groups) {
            text(body, "group", MARGIN, y + 14, "start", group.title());
            y += GROUP_HEIGHT - 8;
            for (Bar bar : group.bars()) {
                append(body, bar, group.greatest(), y);
                y += BAR_STEP;
            }
            y += 8;
        }
        return String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">%n<style>%n%s</style>%n%s</svg>%n",
                WIDTH,
                y + MARGIN,
                WIDTH,
                y + MARGIN,
                escaped(title),
                STYLE,
                body);
    }

    private static void append(StringBuilder body, Bar bar, double greatest, int y) {
        int left = MARGIN + LABEL_WIDTH;
        double width = Math.max(1, bar.value() / greatest * (WIDTH - left - VALUE_WIDTH - MARGIN));
        int baseline = y + BAR_HEIGHT - 4;
        text(body, "label", left - 8, baseline, "end", bar.label());
        body.append(String.format(
                Locale.ROOT,
                "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>%n",
                bar.highlighted() ? "ours" : "bar",
                left,
                y,
                width,
                BAR_HEIGHT));
        text(body, "value", left + width + 8, baseline, "start", number(bar.value()));
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value);
    }

    private static void text(StringBuilder body, String style, double x, int y, String anchor, String text) {
        body.append(String.format(
                Locale.ROOT,
                "<text class=\"%s\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>%n",
                style,
                x,
                y,
                anchor,
                escaped(text)));
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
