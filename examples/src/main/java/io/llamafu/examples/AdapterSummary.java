package io.llamafu.examples;

import io.llamafu.adapter.AdapterInfo;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** Prints what a written adapter is. */
final class AdapterSummary {
    private final PrintWriter writer;

    AdapterSummary(PrintWriter writer) {
        this.writer = writer;
    }

    void print(Path file, AdapterInfo info, int tensors, Object type, long bytes, String digest, List<String> notes) {
        writer.println(file);
        line("architecture", info.architecture());
        line("rank", info.ranks().stream().map(String::valueOf).collect(Collectors.joining(", ")));
        line("alpha", String.valueOf((float) info.alpha()));
        line("modules", String.join(", ", info.targetModules()));
        if (!info.invocationTokens().isEmpty()) {
            line(
                    "invocation",
                    "%d tokens (aLoRA)".formatted(info.invocationTokens().size()));
        }
        line("tensors", "%d %s".formatted(tensors, type));
        line("bytes", String.valueOf(bytes));
        line("sha256", digest);
        notes.forEach(note -> line("note", note));
        writer.flush();
    }

    void line(String key, String value) {
        writer.println("  %-13s %s".formatted(key, value));
    }
}
