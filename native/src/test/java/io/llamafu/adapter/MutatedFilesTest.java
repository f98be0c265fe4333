package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufMutations;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.ModelFile;
import io.llamafu.testing.Frugal;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Whatever a file contains, checking it takes less than a minute and 64 MB and ends with a coded error or the
 * description of a sound file. {@code -Dmutations=20000} draws more files.
 */
class MutatedFilesTest {
    private static final int MUTATIONS = Integer.getInteger("mutations", 2_000);
    private static final long SEED = 20_260_101;

    @TempDir
    Path folder;

    @Test
    void everyMutatedModelIsRefusedOrSound() throws IOException {
        Map<ErrorCode, Integer> outcomes = run(
                TinyModel.model(),
                EnumSet.of(ErrorCode.MODEL_INVALID),
                path -> assertSound(ModelFile.read(path).gguf()));

        assertThat(outcomes.get(ErrorCode.MODEL_INVALID)).isBetween(MUTATIONS / 2, MUTATIONS - 1);
    }

    @Test
    void everyMutatedAdapterIsRefusedOrSound() throws IOException {
        GgufFile base = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        Map<ErrorCode, Integer> outcomes = run(
                TinyModel.adapters().resolve("medical.gguf"),
                EnumSet.of(ErrorCode.ADAPTER_INVALID, ErrorCode.ADAPTER_INCOMPATIBLE),
                path -> {
                    GgufFile adapter = GgufReader.read(path, GgufKind.ADAPTER);
                    AdapterCompatibility.check(base, adapter).requireCompatible("mutated");
                    assertThat(AdapterInfo.of(adapter).architecture()).isEqualTo("llama");
                    assertSound(adapter);
                });

        assertThat(outcomes.get(ErrorCode.ADAPTER_INVALID)).isBetween(MUTATIONS / 2, MUTATIONS - 1);
        assertThat(outcomes.get(ErrorCode.ADAPTER_INCOMPATIBLE)).isPositive();
    }

    @Test
    void everyMutatedAdapterIsRefusedOrMerged() throws IOException {
        Files.copy(TinyModel.adapters().resolve("formal.gguf"), folder.resolve("formal.gguf"));
        AdapterStack stack = AdapterStack.parse("mutated:0.5+formal:-1");
        GgufFile base = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        Map<ErrorCode, Integer> outcomes = run(
                TinyModel.adapters().resolve("medical.gguf"),
                MUTATIONS / 8,
                EnumSet.of(ErrorCode.ADAPTER_INVALID, ErrorCode.ADAPTER_INCOMPATIBLE, ErrorCode.INVALID_REQUEST),
                path -> {
                    Path out = path.resolveSibling("merged.gguf");
                    AdapterMerge.merge(stack, LocalAdapters.of(folder), TinyModel.model(), out, GgufTensorType.F16);
                    GgufFile merged = GgufReader.read(out, GgufKind.ADAPTER);
                    assertThat(AdapterCompatibility.check(base, merged).reasons())
                            .isEmpty();
                    assertSound(merged);
                });

        assertThat(outcomes.values().stream().mapToInt(Integer::intValue).sum())
                .isBetween(MUTATIONS / 16, MUTATIONS / 8 - 1);
        assertThat(folder).isDirectoryNotContaining("glob:**/.*");
    }

    private Map<ErrorCode, Integer> run(Path original, Set<ErrorCode> allowed, Consumer<Path> check)
            throws IOException {
        return run(original, MUTATIONS, allowed, check);
    }

    private Map<ErrorCode, Integer> run(Path original, int count, Set<ErrorCode> allowed, Consumer<Path> check)
            throws IOException {
        GgufMutations mutations = new GgufMutations(original, SEED);
        Path path = folder.resolve("mutated.gguf");
        Map<ErrorCode, Integer> outcomes = new EnumMap<>(ErrorCode.class);
        for (int index = 0; index < count; index++) {
            Files.write(path, mutations.next());
            String what = "mutation " + index;
            Frugal.run(what, () -> check.accept(path)).ifPresent(refused -> {
                assertThat(refused.code()).as("%s: %s", what, refused).isIn(allowed);
                outcomes.merge(refused.code(), 1, Integer::sum);
            });
        }
        System.out.printf("%d mutations of %s: %s%n", count, original.getFileName(), outcomes);
        return outcomes;
    }

    private static void assertSound(GgufFile gguf) {
        long end = gguf.dataOffset();
        for (GgufTensor tensor : gguf.tensors().values()) {
            assertThat(tensor.fileOffset()).isGreaterThanOrEqualTo(end);
            assertThat(tensor.byteSize()).isPositive();
            end = tensor.fileOffset() + tensor.byteSize();
        }
        assertThat(end).isLessThanOrEqualTo(gguf.fileSize());
    }
}
