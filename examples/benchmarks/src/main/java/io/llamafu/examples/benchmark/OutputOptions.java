package io.llamafu.examples.benchmark;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Files that a benchmark writes on request. */
final class OutputOptions {
    @Option(names = "--json", paramLabel = "FILE", description = "Writes the results to this file as JSON.")
    private Path json;

    @Option(names = "--chart", paramLabel = "FOLDER", description = "Draws a chart, NAME.svg, into this folder.")
    private Path chart;

    /** @param name of the chart's file, without extension */
    void write(List<?> results, String name, BarChart drawing) throws IOException {
        if (json != null) {
            Results.writeJson(results, json);
        }
        if (chart != null) {
            Path file = Files.createDirectories(chart).resolve(name + ".svg");
            Files.writeString(file, drawing.svg());
            System.err.println("Chart: " + file);
        }
    }
}
