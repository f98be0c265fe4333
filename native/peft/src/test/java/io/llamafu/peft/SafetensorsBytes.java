package io.llamafu.peft;

import io.llamafu.gguf.GgufBlocks;
import io.llamafu.gguf.GgufTensorType;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** Writes safetensors files, valid or not. */
final class SafetensorsBytes {
    private final Map<String, String> header = new LinkedHashMap<>();
    private final ByteArrayOutputStream data = new ByteArrayOutputStream();

    SafetensorsBytes tensor(String name, SafetensorsType type, float[] values, long... shape) {
        int begin = data.size();
        data.writeBytes(GgufBlocks.encode(GgufTensorType.valueOf(type.name()), values));
        header.put(
                name,
                "{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                        .formatted(type, Arrays.toString(shape), begin, data.size()));
        return this;
    }

    byte[] bytes() {
        String json = header.entrySet().stream()
                .map(entry -> "\"%s\":%s".formatted(entry.getKey(), entry.getValue()))
                .collect(Collectors.joining(",", "{\"__metadata__\":{\"format\":\"pt\"},", "}"));
        return of(json, data.toByteArray());
    }

    /** Any header, followed by any data. */
    static byte[] of(String json, byte[] data) {
        byte[] header = json.getBytes(StandardCharsets.UTF_8);
        return of(header.length, header, data);
    }

    /** With any length before it. */
    static byte[] of(long length, byte[] header, byte[] data) {
        return ByteBuffer.allocate(Long.BYTES + header.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(header)
                .put(data)
                .array();
    }
}
