package io.llamafu.peft;

import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * Writes an adapter of random weights on all projections of a model, in PEFT's format. {@code adapters.py} of {@code
 * examples/parity} draws the same numbers.
 */
final class RandomAdapter {
    private static final double DEVIATION_A = 0.04;
    private static final double DEVIATION_B = 0.02;
    private static final Map<String, String> MODULES = Map.of(
            "attn_q", "self_attn.q_proj",
            "attn_k", "self_attn.k_proj",
            "attn_v", "self_attn.v_proj",
            "attn_output", "self_attn.o_proj",
            "ffn_gate", "mlp.gate_proj",
            "ffn_up", "mlp.up_proj",
            "ffn_down", "mlp.down_proj");

    private RandomAdapter() {}

    static Path write(Path folder, GgufFile base, int rank) throws IOException {
        PeftFolder adapter = new PeftFolder()
                .with("r", rank)
                .with("lora_alpha", 2 * rank)
                .with(
                        "target_modules",
                        MODULES.values().stream()
                                .map(path -> path.replaceAll(".*\\.", ""))
                                .toList());
        for (int layer = 0;
                base.findTensor("blk.%d.attn_q.weight".formatted(layer)).isPresent();
                layer++) {
            for (Map.Entry<String, String> module : MODULES.entrySet()) {
                GgufTensor weight = base.findTensor("blk.%d.%s.weight".formatted(layer, module.getKey()))
                        .orElseThrow();
                String path = "base_model.model.model.layers.%d.%s".formatted(layer, module.getValue());
                draw(adapter, path + ".lora_A.weight", rank, rank, (int) weight.dimension(0), DEVIATION_A);
                draw(adapter, path + ".lora_B.weight", rank, (int) weight.dimension(1), rank, DEVIATION_B);
            }
        }
        return adapter.write(folder);
    }

    private static void draw(PeftFolder adapter, String name, int rank, int rows, int columns, double deviation)
            throws IOException {
        CRC32 checksum = new CRC32();
        checksum.update(name.getBytes(StandardCharsets.UTF_8));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        GgufTensorData.random(GgufTensorType.F32, (long) rows * columns, checksum.getValue() + rank, deviation)
                .writeTo(bytes);
        float[] values = new float[rows * columns];
        ByteBuffer.wrap(bytes.toByteArray())
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer()
                .get(values);
        adapter.tensor(name, SafetensorsType.F32, values, rows, columns);
    }
}
