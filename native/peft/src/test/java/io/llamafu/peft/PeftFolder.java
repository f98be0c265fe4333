package io.llamafu.peft;

import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes a folder as PEFT does, with rank 2 and alpha 8 unless a test changes them. */
final class PeftFolder {
    private final Map<String, Object> config = new LinkedHashMap<>();
    private final SafetensorsBytes weights = new SafetensorsBytes();
    private int seed;

    PeftFolder() {
        config.put("peft_type", "LORA");
        config.put("r", 2);
        config.put("lora_alpha", 8);
        config.put("bias", "none");
        config.put("use_dora", false);
        config.put("fan_in_fan_out", null);
        config.put("modules_to_save", null);
        config.put("rank_pattern", Map.of());
        config.put("init_lora_weights", true);
        config.put("target_modules", List.of("q_proj", "v_proj"));
    }

    PeftFolder with(String key, Object value) {
        config.put(key, value);
        return this;
    }

    PeftFolder without(String key) {
        config.remove(key);
        return this;
    }

    /** Both matrices of an adapted module. */
    PeftFolder module(String path, int inputs, int outputs) {
        return module(path, inputs, outputs, 2);
    }

    PeftFolder module(String path, int inputs, int outputs, int rank) {
        String prefix = "base_model.model." + path;
        return tensor(prefix + ".lora_A.weight", rank, inputs).tensor(prefix + ".lora_B.weight", outputs, rank);
    }

    PeftFolder tensor(String name, int rows, int columns) {
        return tensor(name, SafetensorsType.F32, numbers(rows * columns, seed++), rows, columns);
    }

    PeftFolder tensor(String name, SafetensorsType type, float[] values, long... shape) {
        weights.tensor(name, type, values, shape);
        return this;
    }

    /** Numbers that F32, F16 and BF16 represent exactly. */
    static float[] numbers(int count, int seed) {
        float[] numbers = new float[count];
        for (int index = 0; index < count; index++) {
            numbers[index] = ((index * 37 + seed * 11) % 251 - 125) / 64f;
        }
        return numbers;
    }

    Path write(Path folder) throws IOException {
        Files.createDirectories(folder);
        Files.write(folder.resolve("adapter_config.json"), new ObjectMapper().writeValueAsBytes(config));
        Files.write(folder.resolve("adapter_model.safetensors"), weights.bytes());
        return folder;
    }
}
