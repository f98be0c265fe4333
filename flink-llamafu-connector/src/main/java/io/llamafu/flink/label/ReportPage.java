package io.llamafu.flink.label;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** The report as a page: one file without scripts and without anything from elsewhere. */
final class ReportPage {
    private static final int MOST_LABELS = 40;
    private static final int MOST_CONFUSED = 12;

    private static final String STYLE =
            """
            :root { color-scheme: light dark; --ink: #1c2330; --soft: #5c6675; --line: #d9dee6; --paper: #ffffff;
              --card: #f5f7fa; --bar: #2f6fde; --bad: #c23b31; --good: #1f8a4c; }
            @media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #a2abb9; --line: #39424f;
              --paper: #14181f; --card: #1d232c; --bar: #6fa0f2; --bad: #f0857c; --good: #63c98c; } }
            * { box-sizing: border-box; }
            body { margin: 0 auto; padding: 16px; max-width: 960px; background: var(--paper); color: var(--ink);
              font: 15px/1.5 system-ui, sans-serif; }
            h1 { font-size: 22px; margin: 8px 0 0; } h2 { font-size: 17px; margin: 32px 0 8px; }
            p { margin: 4px 0 12px; color: var(--soft); overflow-wrap: anywhere; }
            .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 8px; }
            .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; }
            .card b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
            .card span { color: var(--soft); font-size: 13px; }
            .bad b, .bad { color: var(--bad); } .good b { color: var(--good); }
            .scroll { overflow-x: auto; }
            table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
            th, td { text-align: left; padding: 4px 8px 4px 0; border-bottom: 1px solid var(--line);
              vertical-align: top; overflow-wrap: anywhere; }
            th { color: var(--soft); font-weight: 600; } td.n, th.n { text-align: right; white-space: nowrap; }
            .track { min-width: 72px; width: 100%; height: 12px; margin-top: 5px; background: var(--card);
              border-radius: 3px; }
            .fill { height: 12px; background: var(--bar); border-radius: 3px; min-width: 1px; }
            .hist { display: flex; align-items: flex-end; gap: 4px; height: 120px; border-bottom: 1px solid var(--line); }
            .hist div { flex: 1; background: var(--bar); border-radius: 3px 3px 0 0; min-height: 1px; }
            .axis { display: flex; justify-content: space-between; color: var(--soft); font-size: 13px; }
            .matrix { width: auto; }
            .matrix td, .matrix th { border: 1px solid var(--line); padding: 4px 6px; min-width: 44px;
              overflow-wrap: normal; }
            .matrix .right { font-weight: 700; }
            """;

    private final StringBuilder page = new StringBuilder();

    private ReportPage() {}

    static String of(Report.Written report, Optional<Review.Judgement> judgement) {
        return new ReportPage().write(report, judgement);
    }

    private String write(Report.Written report, Optional<Review.Judgement> judgement) {
        page.append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
                .append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
                .append("<title>Label report</title>\n<style>\n")
                .append(STYLE)
                .append("</style></head><body>\n<h1>Label report</h1>\n");
        paragraph("%s, task %s, ended %s after %s. Model %s."
                .formatted(
                        report.output(),
                        report.task(),
                        report.ended().substring(0, Math.min(19, report.ended().length())),
                        Progress.time(report.seconds()),
                        report.model().substring(0, Math.min(12, report.model().length()))));
        cards(report);
        failures(report);
        errors(report);
        labels(report);
        confidence(report);
        if (report.accuracy() != null) {
            heading("Accuracy against the gold field");
            paragraph(describe(report.accuracy()));
            confusion(report.total().gold);
        }
        calibration(report);
        judgement.ifPresent(this::judgement);
        drift(report);
        stacks(report);
        slowest(report);
        return page.append("</body></html>\n").toString();
    }

    private void cards(Report.Written report) {
        PartStats total = report.total();
        long errors = total.errors.values().stream().mapToLong(Long::longValue).sum();
        page.append("<div class=\"cards\">");
        card("", number(total.rows), "rows in %d files".formatted(report.files()));
        card(
                errors == 0 ? "good" : "",
                percent(total.rows == 0 ? 1 : (double) total.answered / total.rows),
                "answered");
        card(errors == 0 ? "" : "bad", number(errors), "errors");
        card("", number(report.askedRows()), "rows asked in this run");
        card("", decimal(report.rowsPerSecond()), "rows per second");
        card("", decimal(report.tokensPerSecond()), "generated tokens per second");
        card("", number(total.asked.generatedTokens), "tokens generated in this run");
        card("", number(total.promptTokens + total.generatedTokens), "tokens of all rows");
        page.append("</div>\n");
    }

    private void card(String kind, String figure, String what) {
        page.append("<div class=\"card %s\"><b>%s</b><span>%s</span></div>".formatted(kind, figure, what));
    }

    private void failures(Report.Written report) {
        if (!report.failures().isEmpty()) {
            heading("Files that were not labelled");
            report.failures().forEach(failure -> page.append("<p class=\"bad\">%s</p>\n".formatted(escape(failure))));
        }
    }

    private void errors(Report.Written report) {
        if (!report.total().errors.isEmpty()) {
            heading("Errors by code");
            bars(report.total().errors, MOST_LABELS);
        }
    }

    private void labels(Report.Written report) {
        if (!report.total().labels.isEmpty()) {
            heading("Labels");
            bars(report.total().labels, MOST_LABELS);
        }
    }

    private void bars(Map<String, Long> counts, int most) {
        double sum = counts.values().stream().mapToLong(Long::longValue).sum();
        double max = counts.values().stream().mapToLong(Long::longValue).max().orElse(1);
        List<Map.Entry<String, Long>> sorted = counts.entrySet().stream()
                .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .toList();
        page.append("<div class=\"scroll\"><table>");
        sorted.stream()
                .limit(most)
                .forEach(entry -> page.append(
                        "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td style=\"width:45%%\">%s</td></tr>"
                                .formatted(
                                        escape(entry.getKey()),
                                        number(entry.getValue()),
                                        percent(entry.getValue() / sum),
                                        bar(entry.getValue() / max))));
        page.append("</table></div>\n");
        if (sorted.size() > most) {
            paragraph("%d further ones in report.json.".formatted(sorted.size() - most));
        }
    }

    private static String bar(double share) {
        return String.format(
                Locale.ROOT,
                "<div class=\"track\"><div class=\"fill\" style=\"width:%.1f%%\"></div></div>",
                100 * share);
    }

    private void confidence(Report.Written report) {
        long[] bins = report.total().confidence;
        long max = 0;
        long sum = 0;
        for (long bin : bins) {
            max = Math.max(max, bin);
            sum += bin;
        }
        if (sum == 0) {
            return;
        }
        heading("Confidence");
        paragraph("Rows by the probability of their label, in tenths.");
        page.append("<div class=\"hist\">");
        for (int bin = 0; bin < bins.length; bin++) {
            page.append(String.format(
                    Locale.ROOT,
                    "<div style=\"height:%.1f%%\" title=\"%.1f to %.1f: %d rows\"></div>",
                    100.0 * bins[bin] / max,
                    (double) bin / bins.length,
                    (bin + 1.0) / bins.length,
                    bins[bin]));
        }
        page.append("</div><div class=\"axis\"><span>0</span><span>0.5</span><span>1</span></div>\n");
        paragraph("%s of %s rows are below 0.5."
                .formatted(number(bins[0] + bins[1] + bins[2] + bins[3] + bins[4]), number(sum)));
    }

    private static String describe(Accuracy accuracy) {
        return "%s of %s rows are right: %s, with 95 %% certainty between %s and %s."
                .formatted(
                        number(accuracy.correct()),
                        number(accuracy.judged()),
                        percent(accuracy.share()),
                        percent(accuracy.low()),
                        percent(accuracy.high()));
    }

    private void confusion(Map<String, Map<String, Long>> gold) {
        TreeSet<String> all = new TreeSet<>(gold.keySet());
        gold.values().forEach(answers -> all.addAll(answers.keySet()));
        if (all.size() <= MOST_CONFUSED) {
            page.append("<div class=\"scroll\"><table class=\"matrix\"><tr><th>right answer, then answers</th>");
            all.forEach(answer -> page.append("<th>%s</th>".formatted(named(answer))));
            page.append("</tr>");
            gold.forEach((right, answers) -> {
                page.append("<tr><th>%s</th>".formatted(named(right)));
                all.forEach(answer -> page.append("<td class=\"n%s\">%s</td>"
                        .formatted(answer.equals(right) ? " right" : "", number(answers.getOrDefault(answer, 0L)))));
                page.append("</tr>");
            });
            page.append("</table></div>\n");
            return;
        }
        record Confused(String right, String answer, long rows) {}
        List<Confused> worst = new ArrayList<>();
        gold.forEach((right, answers) -> answers.forEach((answer, rows) -> {
            if (!answer.equals(right)) {
                worst.add(new Confused(right, answer, rows));
            }
        }));
        worst.sort(Comparator.comparingLong(Confused::rows).reversed());
        page.append(
                "<div class=\"scroll\"><table><tr><th>right answer</th><th>answer</th><th class=\"n\">rows</th></tr>");
        worst.stream()
                .limit(MOST_LABELS)
                .forEach(confused -> page.append("<tr><td>%s</td><td>%s</td><td class=\"n\">%s</td></tr>"
                        .formatted(named(confused.right()), named(confused.answer()), number(confused.rows()))));
        page.append("</table></div>\n");
    }

    private void calibration(Report.Written report) {
        if (report.calibration() == null) {
            return;
        }
        heading("Calibration");
        paragraph("The temperatures that make the right labels likeliest. As an option: calibration = "
                + report.calibration().option());
        page.append("<div class=\"scroll\"><table><tr><th>stack</th><th class=\"n\">rows</th><th class=\"n\">now</th>"
                + "<th class=\"n\">fitted</th></tr>");
        report.calibration().stacks().entrySet().stream()
                .limit(MOST_LABELS)
                .forEach(stack -> page.append(
                        "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>"
                                .formatted(
                                        stack(stack.getKey()),
                                        number(stack.getValue().rows()),
                                        temperature(stack.getValue().now()),
                                        temperature(stack.getValue().fitted()))));
        page.append("</table></div>\n");
    }

    private static String stack(String stack) {
        return stack.isEmpty() ? "<i>base model</i>" : escape(stack);
    }

    private static String temperature(double temperature) {
        return String.format(Locale.ROOT, "%.2f", temperature);
    }

    private static String named(String answer) {
        return answer.isEmpty() ? "<i>error</i>" : escape(answer);
    }

    private void judgement(Review.Judgement judgement) {
        heading("Accuracy against reviewed rows");
        paragraph("In the sample: " + describe(judgement.sample()));
        paragraph(
                "Estimate for all rows, each label weighted by its rows: %s.".formatted(percent(judgement.estimate())));
        confusion(judgement.confusion());
    }

    private void drift(Report.Written report) {
        if (report.drift() == null) {
            return;
        }
        Report.Drift drift = report.drift();
        heading("Drift against the last run");
        paragraph("%s of the rows of this run would need another label for the distribution of the last run."
                .formatted(percent(drift.distance())));
        double before =
                drift.before().values().stream().mapToLong(Long::longValue).sum();
        double now = drift.now().values().stream().mapToLong(Long::longValue).sum();
        TreeSet<String> labels = new TreeSet<>(drift.before().keySet());
        labels.addAll(drift.now().keySet());
        page.append(
                "<div class=\"scroll\"><table><tr><th>label</th><th class=\"n\">last run</th><th class=\"n\">this run</th></tr>");
        labels.stream()
                .limit(MOST_LABELS)
                .forEach(label -> page.append("<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>"
                        .formatted(
                                escape(label),
                                percent(drift.before().getOrDefault(label, 0L) / before),
                                percent(drift.now().getOrDefault(label, 0L) / now))));
        page.append("</table></div>\n");
    }

    private void stacks(Report.Written report) {
        heading("By stack");
        page.append(
                "<div class=\"scroll\"><table><tr><th>stack</th><th class=\"n\">rows</th><th class=\"n\">errors</th>"
                        + "<th class=\"n\">prompt tokens</th><th class=\"n\">generated</th><th class=\"n\">ms a row</th></tr>");
        report.total().stacks.entrySet().stream()
                .sorted(Comparator.comparingLong((Map.Entry<String, PartStats.OfStack> stack) -> stack.getValue().rows)
                        .reversed())
                .limit(MOST_LABELS)
                .forEach(stack -> page.append(
                        "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>"
                                .formatted(
                                        stack(stack.getKey()),
                                        number(stack.getValue().rows),
                                        number(stack.getValue().errors),
                                        number(stack.getValue().promptTokens),
                                        number(stack.getValue().generatedTokens),
                                        decimal(stack.getValue().millis / Math.max(1, stack.getValue().rows)))));
        page.append("</table></div>\n");
    }

    private void slowest(Report.Written report) {
        if (report.total().slowest.isEmpty()) {
            return;
        }
        heading("Slowest rows");
        page.append(
                "<div class=\"scroll\"><table><tr><th>file and row</th><th class=\"n\">ms</th><th class=\"n\">prompt tokens</th>"
                        + "<th class=\"n\">generated</th></tr>");
        page.append(report.total().slowest.stream()
                .map(slow -> "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>"
                        .formatted(
                                escape(slow.row()),
                                decimal(slow.millis()),
                                number(slow.promptTokens()),
                                number(slow.generatedTokens())))
                .collect(Collectors.joining()));
        page.append("</table></div>\n");
    }

    private void heading(String text) {
        page.append("<h2>%s</h2>\n".formatted(text));
    }

    private void paragraph(String text) {
        page.append("<p>%s</p>\n".formatted(escape(text)));
    }

    private static String number(long number) {
        return String.format(Locale.ROOT, "%,d", number);
    }

    private static String decimal(double number) {
        return String.format(Locale.ROOT, "%,.1f", number);
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }

    private static String escape(String text) {
        StringBuilder escaped = new StringBuilder();
        text.codePoints().forEach(character -> {
            switch (character) {
                case '&' -> escaped.append("&amp;");
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '"' -> escaped.append("&quot;");
                case '\'' -> escaped.append("&#39;");
                default -> {
                    if (Character.isISOControl(character)) {
                        escaped.append('\uFFFD');
                    } else {
                        escaped.appendCodePoint(character);
                    }
                }
            }
        });
        return escaped.toString();
    }
}
