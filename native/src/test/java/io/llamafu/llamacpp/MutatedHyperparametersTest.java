package io.llamafu.llamacpp;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufValue;
import io.llamafu.gguf.GgufValueType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.gguf.ModelFile;
import io.llamafu.testing.ArchitectureModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

/**
 * Whatever the hyperparameters of a model are, in any architecture, an engine that gets it answers or reports a code.
 * It runs in a separate JVM, which a crash of llama.cpp would end. With {@code -Dmutations=20000} each parameter takes
 * each of a list of values, otherwise some of them; and as many models have two or three parameters changed together.
 */
class MutatedHyperparametersTest {
    private static final int MUTATIONS = Integer.getInteger("mutations", 500);
    private static final int EXHAUSTIVE = 10_000;
    private static final long SEED = 20_261_126;
    private static final int[] INTEGERS = {
        0, 1, 2, 3, 5, 8, 16, 24, 33, 48, 128, 1000, 1 << 16, 1 << 20, 1 << 24, Integer.MAX_VALUE, Integer.MIN_VALUE, -1
    };
    private static final float[] NUMBERS = {
        0, -1, 1e-38f, 1e38f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY
    };

    @Test
    void everyModelAnswersOrIsRefused(@TempDir Path folder) throws Exception {
        String outcome =
                OwnJvm.run(MutatedHyperparametersTest.class, List.of(folder.toString(), String.valueOf(MUTATIONS)), 60);
        System.out.println(outcome);

        assertThat(outcome).contains("answered").contains("MODEL_INVALID");
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        int mutations = Integer.parseInt(arguments[1]);
        Map<String, Integer> outcomes = new TreeMap<>();
        for (ArchitectureModel architecture : ArchitectureModel.values()) {
            if (architecture.kind() == ArchitectureModel.Kind.ENCODER) {
                continue;
            }
            Path original = withOptionalParameters(architecture, folder);
            List<Parameter> parameters = parametersOf(original);
            byte[] bytes = Files.readAllBytes(original);
            SplittableRandom random = new SplittableRandom(SEED);
            for (Parameter parameter : parameters) {
                int stride = mutations >= EXHAUSTIVE ? 1 : 4;
                for (int index = random.nextInt(stride); index < parameter.values(); index += stride) {
                    byte[] changed = bytes.clone();
                    parameter.set(changed, index);
                    count(outcomes, architecture, parameter + " " + index, open(folder, changed));
                }
            }
            for (int mutation = 0; mutation < mutations / ArchitectureModel.values().length; mutation++) {
                byte[] changed = bytes.clone();
                StringBuilder what = new StringBuilder();
                for (int changes = 2 + random.nextInt(2); changes > 0; changes--) {
                    Parameter parameter = parameters.get(random.nextInt(parameters.size()));
                    int index = random.nextInt(parameter.values());
                    parameter.set(changed, index);
                    what.append(parameter).append(' ').append(index).append(' ');
                }
                count(outcomes, architecture, what.toString(), open(folder, changed));
            }
        }
        System.out.println(outcomes);
    }

    /** With optional parameters that llama.cpp reads, though most files omit them. */
    private static Path withOptionalParameters(ArchitectureModel architecture, Path folder) throws IOException {
        Set<String> present = ModelFile.check(GgufReader.read(architecture.write(folder), GgufKind.MODEL))
                .gguf()
                .metadata()
                .keySet();
        GgufWriter writer = architecture.writer();
        Map<String, Integer> integers = Map.of(
                "rope.scaling.original_context_length", 2048,
                "nextn_predict_layers", 0,
                "expert_group_count", 0,
                "attention.sliding_window_pattern", 2,
                "embedding_length_out", 64,
                "vocab_size", 259);
        Map<String, Float> numbers = Map.of(
                "rope.freq_base", 10_000f,
                "rope.freq_base_swa", 10_000f,
                "rope.scaling.factor", 1f,
                "rope.scaling.attn_factor", 1f,
                "attn_logit_softcapping", 50f,
                "final_logit_softcapping", 30f,
                "attention.max_alibi_bias", 0f,
                "attention.clamp_kqv", 0f);
        String prefix = architecture.architecture() + ".";
        integers.forEach((key, value) -> {
            if (!present.contains(prefix + key)) {
                writer.uint32(prefix + key, value);
            }
        });
        numbers.forEach((key, value) -> {
            if (!present.contains(prefix + key)) {
                writer.float32(prefix + key, value);
            }
        });
        Path path = folder.resolve("original.gguf");
        writer.write(path);
        return path;
    }

    private static void count(
            Map<String, Integer> outcomes, ArchitectureModel architecture, String change, String outcome) {
        outcomes.merge(outcome, 1, Integer::sum);
        if (Boolean.getBoolean("llamafu.verbose")) {
            System.out.println(architecture + " " + change + ": " + outcome);
        }
    }

    /** A number in the header. */
    private record Parameter(String key, int position, boolean integer) {
        int values() {
            return integer ? INTEGERS.length : NUMBERS.length;
        }

        void set(byte[] bytes, int index) {
            ByteBuffer out = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            if (integer) {
                out.putInt(position, INTEGERS[index]);
            } else {
                out.putFloat(position, NUMBERS[index]);
            }
        }

        @Override
        public String toString() {
            return key + "@" + position;
        }
    }

    private static List<Parameter> parametersOf(Path file) throws IOException {
        GgufFile gguf = GgufReader.read(file, GgufKind.MODEL);
        String header = new String(Files.readAllBytes(file), ISO_8859_1);
        String prefix = gguf.string("general.architecture") + ".";
        List<Parameter> parameters = new ArrayList<>();
        gguf.metadata().forEach((key, value) -> {
            if (!key.startsWith(prefix)) {
                return;
            }
            int afterKey = header.indexOf(key) + key.length();
            if (value instanceof GgufValue.Array array) {
                for (int index = 0; index < array.count(); index++) {
                    parameters.add(new Parameter(key, (int) array.fileOffset() + index * Integer.BYTES, true));
                }
            } else if (value.type() == GgufValueType.UINT32 || value.type() == GgufValueType.FLOAT32) {
                parameters.add(new Parameter(key, afterKey + Integer.BYTES, value.type() == GgufValueType.UINT32));
            }
        });
        return parameters;
    }

    private static String open(Path folder, byte[] content) throws Exception {
        Path file = Files.write(folder.resolve("changed.gguf"), content);
        try {
            ModelFile.read(file); // as the engine does, but ten times as fast
        } catch (LlamafuException e) {
            return e.code().name();
        }
        try (InferenceEngine engine = LlamaCppEngine.open(EngineOptions.builder(file)
                .contextSize(64)
                .parallelSequences(2)
                .batchSize(32)
                .threads(1)
                .build())) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (String prompt : List.of("One word, and forty more of them to read.", "Two")) {
                answers.add(engine.submit(
                        CompletionRequest.of(prompt, AdapterStack.base()).withMaxTokens(2)));
            }
            String outcome = "";
            for (CompletableFuture<CompletionResult> answer : answers) {
                outcome = outcomeOf(answer);
            }
            return outcome;
        } catch (LlamafuException e) {
            return e.code().name();
        }
    }

    private static String outcomeOf(CompletableFuture<CompletionResult> answer) throws Exception {
        try {
            answer.get(60, TimeUnit.SECONDS);
            return "answered";
        } catch (ExecutionException e) {
            if (e.getCause() instanceof LlamafuException coded) {
                return "no answer: " + coded.code();
            }
            throw e;
        }
    }
}
