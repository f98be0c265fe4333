package io.llamafu.flink.label;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Calibration;
import org.apache.flink.core.fs.Path;

import javax.annotation.Nullable;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The figures of an output after a run: {@code _report/report.json} and {@code _report/report.html}. */
record Report(Written written) {
    private static final String FOLDER = "_report/";

    /**
     * What is in the file.
     *
     * @param run its id
     * @param ended when, as in ISO 8601
     * @param output the folder
     * @param task of the run
     * @param seconds that it took
     * @param model its digest; of parts of files that are gone it may have been another
     * @param files of the output
     * @param askedRows rows that needed the model in this run
     * @param rowsPerSecond of these rows
     * @param tokensPerSecond generated ones
     * @param total figures of all rows; {@code asked} are those of this run
     * @param accuracy where there is a gold field
     * @param calibration where there is a gold field and {@code scoring} is {@code exact}
     * @param distribution of the labels in the last run that gave any
     * @param drift of the labels of this run, against the last one that gave any
     * @param failures of files that could not be read
     */
    record Written(
            String run,
            String ended,
            String output,
            String task,
            double seconds,
            String model,
            int files,
            long askedRows,
            double rowsPerSecond,
            double tokensPerSecond,
            PartStats total,
            @Nullable Accuracy accuracy,
            @Nullable Fit calibration,
            Map<String, Long> distribution,
            @Nullable Drift drift,
            List<String> failures) {}

    /**
     * The temperatures that make the right labels likeliest.
     *
     * @param option the value of the option {@code calibration} for all of them
     */
    record Fit(Map<String, OfStack> stacks, String option) {
        /**
         * The figures of a stack.
         *
         * @param rows whose label and probabilities are known
         * @param now the temperature of their probabilities
         * @param fitted the temperature to set
         */
        record OfStack(long rows, double now, double fitted) {}

        @Nullable
        static Fit of(Map<String, PartLedger.Header> headers, LabelSettings settings) {
            PartStats current = new PartStats();
            headers.values().stream()
                    .filter(header -> header.settings().equals(settings.digest()))
                    .forEach(header -> current.add(header.stats()));
            Map<String, OfStack> stacks = new TreeMap<>();
            current.stacks.forEach((stack, figures) -> {
                if (figures.calibrationLosses != null) {
                    double now = settings.options().labels().temperature(AdapterStack.parse(stack));
                    stacks.put(
                            stack,
                            new OfStack(
                                    figures.calibrationRows,
                                    now,
                                    Answer.rounded(now * Calibration.temperature(figures.calibrationLosses))));
                }
            });
            return stacks.isEmpty()
                    ? null
                    : new Fit(
                            stacks,
                            stacks.entrySet().stream()
                                    .map(stack -> stack.getKey() + "="
                                            + stack.getValue().fitted())
                                    .collect(Collectors.joining(";")));
        }
    }

    /**
     * How much a distribution of labels has changed.
     *
     * @param distance total variation: the share of rows that would need another label, from 0 to 1
     * @param before counts of the earlier run
     * @param now counts of this one
     */
    record Drift(double distance, Map<String, Long> before, Map<String, Long> now) {
        static Drift of(Map<String, Long> before, Map<String, Long> now) {
            double rowsBefore = sum(before);
            double rowsNow = sum(now);
            TreeSet<String> labels = new TreeSet<>(before.keySet());
            labels.addAll(now.keySet());
            double distance = labels.stream()
                            .mapToDouble(label -> Math.abs(before.getOrDefault(label, 0L) / rowsBefore
                                    - now.getOrDefault(label, 0L) / rowsNow))
                            .sum()
                    / 2;
            return new Drift(distance, before, now);
        }

        private static double sum(Map<String, Long> counts) {
            return counts.values().stream().mapToLong(Long::longValue).sum();
        }
    }

    static Report of(
            LabelStore store,
            Map<String, PartLedger.Header> headers,
            String run,
            Duration took,
            List<String> failures,
            LabelSettings settings) {
        PartStats total = new PartStats();
        PartStats.OfRun asked = new PartStats.OfRun();
        headers.values().forEach(header -> {
            total.add(header.stats());
            if (header.run().equals(run)) {
                asked.add(header.stats().asked);
            }
        });
        total.asked = asked;
        double seconds = Math.max(1e-3, took.toMillis() / 1e3);
        Map<String, Long> before = last(store).map(Written::distribution).orElse(Map.of());
        boolean labelled = !asked.labels.isEmpty();
        return new Report(new Written(
                run,
                Instant.now().toString(),
                store.root().toString(),
                settings.task().name().toLowerCase(Locale.ROOT),
                seconds,
                headers.values().stream()
                        .map(PartLedger.Header::model)
                        .reduce((one, other) -> other)
                        .orElse(""),
                headers.size(),
                asked.rows,
                asked.rows / seconds,
                asked.generatedTokens / seconds,
                total,
                total.gold.isEmpty() ? null : Accuracy.of(total.gold),
                Fit.of(headers, settings),
                labelled ? new TreeMap<>(asked.labels) : before,
                labelled && !before.isEmpty() ? Drift.of(before, asked.labels) : null,
                failures));
    }

    private static Path json(LabelStore store) {
        return new Path(store.root(), FOLDER + "report.json");
    }

    /** Of the last run. */
    static Optional<Written> last(LabelStore store) {
        return LabelStore.json(json(store), store, Written.class);
    }

    static Path file(LabelStore store, String name) {
        return new Path(store.root(), FOLDER + name);
    }

    void write(LabelStore store) {
        store.write(
                json(store),
                out -> out.write(Json.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(written)));
        writeHtml(store, written);
    }

    /** With the last judgement of people, if there is one. */
    static void writeHtml(LabelStore store, Written written) {
        Optional<Review.Judgement> judgement =
                LabelStore.json(file(store, Review.JUDGEMENT), store, Review.Judgement.class);
        store.write(
                file(store, "report.html"),
                out -> out.write(ReportPage.of(written, judgement).getBytes(UTF_8)));
    }

    long errors() {
        return written.total().errors.values().stream()
                .mapToLong(Long::longValue)
                .sum();
    }

    String summary() {
        return String.format(
                Locale.ROOT,
                "{\"rows\": %d, \"answered\": %d, \"errors\": %d, \"asked\": %d, \"generatedTokens\": %d, \"seconds\": %.1f, \"unreadableFiles\": %d, \"report\": \"%s\"}",
                written.total().rows,
                written.total().answered,
                errors(),
                written.askedRows(),
                written.total().asked.generatedTokens,
                written.seconds(),
                written.failures().size(),
                FOLDER + "report.html");
    }
}
