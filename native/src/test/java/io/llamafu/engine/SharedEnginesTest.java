package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

class SharedEnginesTest {
    private static final EngineProvider FIRST = provider("first", 100, false);
    private static final EngineProvider SECOND = provider("second", 50, true);
    private static final EngineProvider THIRD = provider("third", 10, true);
    private static final List<EngineProvider> ALL = List.of(FIRST, SECOND, THIRD);

    private static EngineProvider provider(String name, int priority, boolean available) {
        return new EngineProvider() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public int priority() {
                return priority;
            }

            @Override
            public boolean isAvailable() {
                return available;
            }

            @Override
            public ModelChat inspect(EngineOptions options) {
                return ModelChat.NONE;
            }

            @Override
            public NeededMemory neededMemory(EngineOptions options) {
                return NeededMemory.NONE;
            }

            @Override
            public InferenceEngine open(EngineOptions options) {
                throw new AssertionError("not asked for");
            }
        };
    }

    @Test
    void autoTakesTheAvailableEngineOfTheHighestPriority() {
        assertThat(SharedEngines.choose(EngineOptions.AUTO, ALL)).isSameAs(SECOND);
    }

    @Test
    void namedEngineIsTaken() {
        assertThat(SharedEngines.choose("third", ALL)).isSameAs(THIRD);
    }

    @Test
    void engineThatDoesNotRunHereIsRefusedRatherThanReplaced() {
        assertRefused("first", ALL, ErrorCode.NATIVE_LIBRARY_UNAVAILABLE, "'first' does not run");
        assertRefused(EngineOptions.AUTO, List.of(FIRST), ErrorCode.NATIVE_LIBRARY_UNAVAILABLE, "No engine runs");
    }

    @Test
    void unknownEngineIsRefusedWithTheListOfEngines() {
        assertRefused("fourth", ALL, ErrorCode.INVALID_OPTION, "first, second, third, or auto");
    }

    /** As when its jar is in lib/, and Llamafu's own in the jar of the job. */
    @Test
    void engineThatCannotBeLoadedKeepsNoOtherFromAJob(@TempDir Path folder) throws Exception {
        Path services = Files.createDirectories(folder.resolve("META-INF/services"));
        Files.write(services.resolve(EngineProvider.class.getName()), List.of("no.such.Provider", "java.lang.Object"));
        try (URLClassLoader loader =
                new URLClassLoader(new URL[] {folder.toUri().toURL()}, SharedEngines.class.getClassLoader())) {
            assertThat(SharedEngines.providers(loader))
                    .extracting(EngineProvider::name)
                    .contains("native");
        }
    }

    @Test
    void errorNamesTheArtifactOfAnEngineThatIsNotThere() {
        assertRefused(
                "java-llama.cpp",
                ALL,
                ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                "add the artifact io.llamafu:llamafu-java-llama-cpp");
    }

    private static void assertRefused(String engine, List<EngineProvider> providers, ErrorCode code, String message) {
        assertFails(() -> SharedEngines.choose(engine, providers), code, message);
    }

    @Test
    void enginesAreSharedByEqualOptions() {
        EngineOptions options = TinyModel.options()
                .engine("native")
                .contextSize(64)
                .idleTimeout(Duration.ZERO)
                .build();
        long openedBefore = SharedEngines.openedEngines();
        try (SharedEngines.Lease one = SharedEngines.acquire(options);
                SharedEngines.Lease same = SharedEngines.acquire(options)) {
            assertThat(same.engine()).isSameAs(one.engine());
            assertThat(SharedEngines.openedEngines()).isEqualTo(openedBefore + 1);
            assertThat(List.of(one.opened(), same.opened())).containsExactly(true, false);
        }
    }
}
