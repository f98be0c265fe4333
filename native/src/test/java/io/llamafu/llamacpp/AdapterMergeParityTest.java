package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterMerge;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.Programs;
import io.llamafu.testing.RandomAdapter;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** A merged adapter gives the logits of the stack that it was made of, and its answers. */
class AdapterMergeParityTest {
    private static final Path PROGRAM =
            Path.of("target", "native", "cmake", "stack_parity").toAbsolutePath();
    private static final String STACK = "attention:0.8+all:-0.5+forward:1.5";

    @TempDir
    Path folder;

    /** The kinds of products: separate, fused and of experts, and of layers with a window. */
    @ParameterizedTest
    @EnumSource(names = {"LLAMA", "QWEN3", "QWEN3MOE", "GEMMA2", "PHI3", "GRANITE"})
    void logitsAreThoseOfTheStack(ArchitectureModel architecture) throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        Path model = architecture.write(folder);
        writeAdapters(architecture);

        for (GgufTensorType type : List.of(GgufTensorType.F32, GgufTensorType.F16)) {
            Path merged = folder.resolve("merged.gguf");
            AdapterMerge.merge(AdapterStack.parse(STACK), LocalAdapters.of(folder), model, merged, type);
            String[] printed = Programs.run(PROGRAM.toString(), model.toString(), argument(STACK), argument("merged:1"))
                    .strip()
                    .split(" ", 2);
            System.out.printf("%s merged as %s: %s of %s%n", architecture, type, printed[0], printed[1]);

            assertThat(Double.parseDouble(printed[1])).as("effect of the stack").isGreaterThan(0.01);
            assertThat(Double.parseDouble(printed[0]))
                    .as("difference of the merged adapter")
                    .isLessThan(type == GgufTensorType.F32 ? 1e-4 : 2e-3);
        }
    }

    private void writeAdapters(ArchitectureModel architecture) throws IOException {
        Map<String, List<Long>> matrices = architecture.tensors().entrySet().stream()
                .filter(tensor -> tensor.getKey()
                        .matches("blk\\.\\d+\\.(attn|ffn)_(q|k|v|qkv|output|up|down|gate)(_exps)?\\.weight"))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
        List<RandomAdapter> adapters = List.of(
                new RandomAdapter(
                        architecture.architecture(),
                        name -> name.contains("attn") ? 4 : 0,
                        OptionalDouble.of(8),
                        GgufTensorType.F32,
                        0.1,
                        1),
                new RandomAdapter(
                        architecture.architecture(), name -> 8, OptionalDouble.empty(), GgufTensorType.F32, 0.1, 2),
                new RandomAdapter(
                        architecture.architecture(),
                        name -> name.contains("ffn") ? 3 : 0,
                        OptionalDouble.of(-6),
                        GgufTensorType.F32,
                        0.1,
                        3));
        List<String> names = List.of("attention", "all", "forward");
        for (int place = 0; place < names.size(); place++) {
            adapters.get(place).write(folder.resolve(names.get(place) + ".gguf"), matrices);
        }
    }

    private String argument(String stack) {
        return AdapterStack.parse(stack).entries().stream()
                .map(entry -> entry.scale().orElseThrow() + "=" + folder.resolve(entry.name() + ".gguf"))
                .collect(Collectors.joining(","));
    }

    @Test
    void answersAreThoseOfTheStack() throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        AdapterStack stack = AdapterStack.parse("medical+formal");
        AdapterMerge.merge(
                stack,
                LocalAdapters.of(TinyModel.adapters()),
                TinyModel.model(),
                folder.resolve("merged.gguf"),
                GgufTensorType.F16);
        List<Golden> golden = TinyModel.golden().stream()
                .filter(one -> one.stack().equals(stack))
                .limit(100)
                .toList();
        assertThat(golden).hasSize(100);

        int exact = 0;
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapters(folder).build())) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (Golden one : golden) {
                answers.add(engine.submit(CompletionRequest.of(one.prompt(), AdapterStack.of("merged"))
                        .withMaxTokens(60)));
            }
            for (int index = 0; index < golden.size(); index++) {
                exact += answers.get(index)
                                .get(3, TimeUnit.MINUTES)
                                .text()
                                .equals(golden.get(index).expected())
                        ? 1
                        : 0;
            }
        }
        System.out.printf("merged: %d of %d golden answers%n", exact, golden.size());
        assertThat(exact).isGreaterThanOrEqualTo(97);
    }
}
