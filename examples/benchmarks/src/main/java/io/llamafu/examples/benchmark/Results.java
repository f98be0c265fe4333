package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/** Writes results as a Markdown table and as JSON. */
final class Results {
    private Results() {}

    static String markdown(List<Result> results) {
        boolean withPeer = results.stream().anyMatch(result -> result.ratioToBatchedBench() != null);
        StringBuilder table = new StringBuilder();
        table.append("| case | model | engine | adapters | sequences | rank | tokens/s")
                .append(" | x one adapter | x no adapter | LoRA time / limit |")
                .append(withPeer ? " x llama-batched-bench |" : "")
                .append("\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|")
                .append(withPeer ? "--:|" : "")
                .append("\n");
        for (Result result : results) {
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %s | %s | %d | %d | %s | %.1f | %s | %s | %s |%s%n",
                    result.phase(),
                    result.model(),
                    result.engine(),
                    result.adapters(),
                    result.sequences(),
                    result.rank() == 0 ? "" : result.rank(),
                    result.tokensPerSecond(),
                    ratio(result.ratioToHomogeneous(), 3),
                    ratio(result.ratioToNoAdapter(), 3),
                    ratio(result.loraTimeOverLimit(), 2),
                    withPeer ? " " + ratio(result.ratioToBatchedBench(), 3) + " |" : ""));
        }
        return table.toString();
    }

    private static String ratio(Double ratio, int digits) {
        return ratio == null ? "" : String.format(Locale.ROOT, "%." + digits + "f", ratio);
    }

    static void writeJson(List<?> results, Path file) throws IOException {
        ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
        Files.writeString(file, mapper.writeValueAsString(results) + "\n");
    }

    /** A chart of the decode speeds of each model, with bars relative to its fastest. */
    static BarChart chart(String title, List<Result> results) {
        List<Result> decode = results.stream().filter(Result::isDecode).toList();
        Set<String> models = decode.stream().map(Result::model).collect(Collectors.toCollection(LinkedHashSet::new));
        BarChart chart = new BarChart(title);
        for (String model : models) {
            chart.group(model + ", tokens/s");
            for (Result result : decode) {
                if (result.model().equals(model)) {
                    chart.bar(
                            label(result),
                            result.tokensPerSecond(),
                            result.engine().equals(NativeEngine.MIXED.title()));
                }
            }
        }
        return chart;
    }

    private static String label(Result result) {
        boolean upstream = result.engine().equals(NativeEngine.GROUPED.title());
        return switch (result.adapters()) {
            case 0 -> upstream ? "no adapter" : result.engine() + ", no adapter";
            case 1 -> upstream ? "one adapter for all, llama.cpp's way" : result.engine() + ", 1 adapter";
            default -> result.engine() + ", " + result.adapters() + " adapters";
        };
    }
}
