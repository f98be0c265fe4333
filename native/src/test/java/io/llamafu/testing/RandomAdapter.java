package io.llamafu.testing;

import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.ToIntFunction;

/**
 * An adapter of random weights.
 *
 * @param architecture of its base
 * @param rank by name of the matrix; matrices of rank 0 are left out
 * @param alpha empty if the file has none
 * @param deviation standard deviation of the weights
 */
public record RandomAdapter(
        String architecture,
        ToIntFunction<String> rank,
        OptionalDouble alpha,
        GgufTensorType type,
        double deviation,
        long seed) {

    /**
     * Writes the file.
     *
     * @param matrices dimensions of matrices of the base by name, the row length first
     */
    public Path write(Path path, Map<String, List<Long>> matrices) throws IOException {
        writer(matrices).write(path);
        return path;
    }

    public GgufWriter writer(Map<String, List<Long>> matrices) {
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", architecture)
                .string("general.type", "adapter")
                .string("adapter.type", "lora");
        alpha.ifPresent(value -> writer.float32("adapter.lora.alpha", (float) value));
        matrices.forEach((name, dimensions) -> {
            if (rank.applyAsInt(name) > 0) {
                addPair(writer, name, dimensions, rank.applyAsInt(name));
            }
        });
        return writer;
    }

    /** Embeddings look up a row of A, so their A is transposed. */
    private void addPair(GgufWriter writer, String name, List<Long> matrix, long ofRank) {
        List<Long> a = new ArrayList<>(matrix);
        List<Long> b = new ArrayList<>(matrix);
        if (name.endsWith("token_embd.weight")) {
            a.set(0, ofRank);
            b.set(1, matrix.get(0));
        } else {
            a.set(1, ofRank);
        }
        b.set(0, ofRank);
        add(writer, name + ".lora_a", a);
        add(writer, name + ".lora_b", b);
    }

    private void add(GgufWriter writer, String name, List<Long> dimensions) {
        long elements = dimensions.stream().reduce(1L, (left, right) -> left * right);
        writer.tensor(
                name, type, dimensions, GgufTensorData.random(type, elements, seed * 31 + name.hashCode(), deviation));
    }
}
