package io.llamafu.peft;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/**
 * Converted tensors are those of llama.cpp's {@code convert_lora_to_gguf.py}, byte for byte, for adapters that PEFT
 * saved; and each module gets the scale that PEFT gives it. {@code examples/parity/converter.py} wrote the expected
 * values. llama.cpp's converter ignores {@code use_rslora} and {@code alpha_pattern}, so there the scale decides.
 */
class UpstreamTensorsTest {
    private static final int NUMBER_BITS = 24;

    @TempDir
    Path folder;

    static Stream<Arguments> cases() throws IOException {
        try (InputStream in = UpstreamTensorsTest.class.getResourceAsStream("/upstream-converter.json")) {
            return StreamSupport.stream(new ObjectMapper().readTree(in).spliterator(), false)
                    .map(one -> arguments(one.get("name").textValue(), one));
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void tensorsAreEqual(String name, JsonNode one) throws Exception {
        GgufFile written = convert(one);

        JsonNode upstream = one.get("upstream");
        assertThat(written.string("general.architecture"))
                .isEqualTo(upstream.get("architecture").textValue());
        assertThat(written.tensors()).hasSize(upstream.get("tensors").size());
        boolean scaled = one.at("/adapter/alpha_pattern").size() > 0;
        for (GgufTensor tensor : written.tensors().values()) {
            String expected = upstream.get("tensors").path(tensor.name()).asText();
            if (scaled && tensor.name().endsWith(".lora_b")) {
                assertThat(expected).startsWith(shape(tensor) + " ");
            } else {
                assertThat(shape(tensor) + " " + digest(written, tensor))
                        .as(tensor.name())
                        .isEqualTo(expected);
            }
        }
        if (!one.at("/adapter/use_rslora").booleanValue()) {
            assertThat(written.findFloat("adapter.lora.alpha"))
                    .contains(upstream.get("alpha").doubleValue());
        }
    }

    /** llama.cpp's scale, alpha / rank, times the factor that B was multiplied by. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void scalesAreThoseOfPeft(String name, JsonNode one) throws Exception {
        GgufFile written = convert(one);

        double alpha = written.findFloat("adapter.lora.alpha").orElseThrow();
        Map<String, Double> scales = new TreeMap<>();
        for (GgufTensor tensor : written.tensors().values()) {
            if (tensor.name().endsWith(".lora_b")) {
                float[] values = WrittenTensor.values(written, tensor.name());
                scales.put(tensor.name(), alpha / tensor.dimension(0) * norm(values));
            }
        }
        Map<String, Double> expected = new TreeMap<>();
        PeftArchitecture architecture = PeftArchitecture.ofGgufName(
                        one.at("/upstream/architecture").textValue())
                .orElseThrow();
        int place = 0;
        for (Map.Entry<String, JsonNode> tensor : one.get("tensors").properties()) {
            String path = LoraTensorName.parse(tensor.getKey()).orElseThrow().path();
            if (tensor.getKey().contains("lora_B")) {
                String target = architecture.target(path).orElseThrow().name();
                expected.put(
                        target + ".lora_b",
                        one.get("scales").get(path).doubleValue() * norm(numbers(place, count(tensor.getValue()))));
            }
            place++;
        }
        assertThat(scales.keySet()).isEqualTo(expected.keySet());
        expected.forEach(
                (tensor, scale) -> assertThat(scales.get(tensor)).as(tensor).isCloseTo(scale, within(scale * 1e-3)));
    }

    private GgufFile convert(JsonNode one) throws IOException {
        Path peft = Files.createDirectory(folder.resolve("peft"));
        ObjectMapper json = new ObjectMapper();
        Files.write(peft.resolve("adapter_config.json"), json.writeValueAsBytes(one.get("adapter")));
        SafetensorsBytes weights = new SafetensorsBytes();
        int place = 0;
        for (Map.Entry<String, JsonNode> tensor : one.get("tensors").properties()) {
            long[] shape = shape(tensor.getValue());
            String type = tensor.getValue().textValue().split(" ", 2)[0];
            weights.tensor(
                    tensor.getKey(), SafetensorsType.valueOf(type), numbers(place++, count(tensor.getValue())), shape);
        }
        Files.write(peft.resolve("adapter_model.safetensors"), weights.bytes());
        Path base = Files.write(folder.resolve("config.json"), json.writeValueAsBytes(one.get("base")));
        Path out = folder.resolve("out.gguf");
        WeightType type = one.get("outtype").textValue().equals("f16") ? WeightType.F16 : WeightType.F32;

        ConvertedAdapter converted = PeftConverter.convert(peft, out, PeftBase.read(base), type);

        assertThat(converted.notes()).isEmpty();
        return GgufReader.read(out, GgufKind.ADAPTER);
    }

    /** {@code F32 4x96} */
    private static long[] shape(JsonNode tensor) {
        return Stream.of(tensor.textValue().split(" ", 2)[1].split("x", 2))
                .mapToLong(Long::parseLong)
                .toArray();
    }

    private static int count(JsonNode tensor) {
        long[] shape = shape(tensor);
        return (int) (shape[0] * shape[1]);
    }

    /** As in {@code converter.py}: the upper bits of each number, from -0.25 to 0.25. */
    private static float[] numbers(int seed, int count) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] numbers = new float[count];
        for (int index = 0; index < count; index++) {
            long upper = random.nextLong() >>> (Long.SIZE - NUMBER_BITS);
            numbers[index] = (upper - (1 << (NUMBER_BITS - 1))) / (float) (1 << (NUMBER_BITS + 1));
        }
        return numbers;
    }

    private static double norm(float[] values) {
        double squares = 0;
        for (float value : values) {
            squares += (double) value * value;
        }
        return Math.sqrt(squares);
    }

    private static String shape(GgufTensor tensor) {
        return tensor.type() + " "
                + tensor.dimensions().stream().map(String::valueOf).collect(Collectors.joining("x"));
    }

    /** The first 16 digits. */
    private static String digest(GgufFile file, GgufTensor tensor) throws IOException, NoSuchAlgorithmException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(WrittenTensor.bytes(file, tensor.name()));
        return HexFormat.of().formatHex(digest).substring(0, 16);
    }
}
