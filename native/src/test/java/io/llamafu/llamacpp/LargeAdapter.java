package io.llamafu.llamacpp;

import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.testing.TinyModel;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** An adapter for the tiny model with a single value in all weights, and a rank that makes it large. */
final class LargeAdapter {
    private LargeAdapter() {}

    /**
     * Writes an adapter.
     *
     * @param bytes approximate size of its weights
     * @param value of all weights; with 0 the model answers as without it
     */
    static void write(Path path, long bytes, float value) throws IOException {
        GgufFile base = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        List<GgufTensor> targets = base.tensors().values().stream()
                .filter(tensor -> tensor.name().matches("blk\\.\\d+\\.(attn_q|attn_output|ffn_up|ffn_down)\\.weight"))
                .toList();
        long bytesPerRank = targets.stream()
                .mapToLong(tensor -> Short.BYTES * (tensor.dimension(0) + tensor.dimension(1)))
                .sum();
        long rank = bytes / bytesPerRank;
        GgufWriter writer = new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", base.string("general.architecture"))
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", 1);
        for (GgufTensor target : targets) {
            add(writer, target.name() + ".lora_a", target.dimension(0), rank, value);
            add(writer, target.name() + ".lora_b", rank, target.dimension(1), value);
        }
        writer.write(path);
    }

    private static void add(GgufWriter writer, String name, long columns, long rows, float value) {
        writer.tensor(
                name,
                GgufTensorType.F16,
                List.of(columns, rows),
                GgufTensorData.constant(GgufTensorType.F16, columns * rows, value));
    }
}
