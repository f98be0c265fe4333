package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.engine.support.CpuFeatures;
import io.llamafu.testing.LoggedMessages;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

import static io.llamafu.testing.Failures.code;
import static java.nio.file.StandardOpenOption.APPEND;
import static java.nio.file.StandardOpenOption.CREATE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class NativeLibraryTest {
    private static final NativePlatform HERE = NativePlatform.current();
    private static final Optional<Set<String>> THIS_CPU = CpuFeatures.current();
    private static final Optional<String> NO_OVERRIDE = Optional.empty();
    private static final Optional<String> NO_LEVEL = Optional.empty();

    @TempDir
    Path folder;

    /** The folder for the copies of the loader under test. */
    @TempDir
    Path temporary;

    @Test
    void loadsAndSaysWhatItWasBuiltFrom() {
        NativeLibrary.load();

        assertThat(NativeLibrary.buildInfo()).contains("llama.cpp v0.5.0 (de3ff81", "level ", "CPU : ");
    }

    @Test
    void loadingAgainDoesNothing() {
        NativeLibrary.load();
        String count = System.getProperty(NativeLibraryLoader.COUNT_PROPERTY);

        NativeLibrary.load();

        assertThat(System.getProperty(NativeLibraryLoader.COUNT_PROPERTY)).isEqualTo(count);
    }

    @Test
    void copyIsDeletedOnceItIsLoaded() {
        new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, NO_OVERRIDE, NO_LEVEL, temporary).load();

        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void copyIsReadableByItsOwnerOnly() throws IOException {
        NativeLibraryLoader loader =
                new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, NO_OVERRIDE, NO_LEVEL, temporary);

        Path copy = loader.writePrivateCopy(InputStream.nullInputStream(), "nothing");

        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(copy)))
                .isEqualTo("rw-------");
    }

    @Test
    void unusableTemporaryFolderIsNamedWithTheCure() {
        Path absent = temporary.resolve("absent");

        assertThatThrownBy(() ->
                        new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, NO_OVERRIDE, NO_LEVEL, absent).load())
                .satisfies(NativeLibraryTest::isUnavailable)
                .hasMessageContaining(absent.toString())
                .hasMessageContaining("-Djava.io.tmpdir");
    }

    @Test
    void missingLibraryNamesResourcePlatformAndCure() {
        NativePlatform platform = new NativePlatform("plan9", "mips");

        assertThatThrownBy(() -> new NativeLibraryLoader(
                                platform, classLoader(), THIS_CPU, NO_OVERRIDE, NO_LEVEL, temporary)
                        .load())
                .satisfies(NativeLibraryTest::isUnavailable)
                .hasMessageContaining("io/llamafu/native/plan9-mips/levels")
                .hasMessageContaining("os.arch " + System.getProperty("os.arch"))
                .hasMessageContaining("mvn install")
                .hasMessageContaining("-Dllamafu.native.library=");
    }

    @Test
    void libraryIsThereIfItIsPackedOrNamed() {
        NativePlatform elsewhere = new NativePlatform("plan9", "mips");

        assertThat(NativeLibrary.isPackaged()).isTrue();
        assertThat(new NativeLibraryLoader(elsewhere, classLoader(), THIS_CPU, NO_OVERRIDE, NO_LEVEL, temporary)
                        .hasLibrary())
                .isFalse();
        assertThat(new NativeLibraryLoader(elsewhere, classLoader(), THIS_CPU, Optional.of("/x"), NO_LEVEL, temporary)
                        .hasLibrary())
                .isTrue();
    }

    @Test
    void cpuBelowAllLevelsIsRefusedBeforeLoading() throws IOException {
        addLevel("v4", "level=v4\ncpu.features=avx2 avx512f fma\n", "not even a library");
        addLevel("v3", "level=v3\ncpu.features=avx2 fma\n", "not even a library");

        try (URLClassLoader resources = resourcesIn(folder)) {
            assertThatThrownBy(() ->
                            loader(resources, Set.of("avx", "sse4_2"), NO_LEVEL).load())
                    .satisfies(error -> hasCode(error, ErrorCode.UNSUPPORTED_CPU))
                    .hasMessageContaining("needs the instruction set v3")
                    .hasMessageContaining("lacks avx2, fma.")
                    .hasMessageContaining("-Dnative.march=native");
        }
    }

    @Test
    void bestLevelThatTheCpuCanRunIsLoaded() throws IOException {
        addLevel("v4", "level=v4\ncpu.features=avx2 avx512f\n", "not a library");
        addLevel("v3", "level=v3\ncpu.features=avx2\n", "not a library");
        addLevel("v2", "level=v2\ncpu.features=\n", "not a library");

        try (URLClassLoader resources = resourcesIn(folder)) {
            assertThatThrownBy(() -> loader(resources, Set.of("avx2", "avx512f", "fma"), NO_LEVEL)
                            .load())
                    .hasMessageContaining("/v4/" + HERE.libraryFileName());
            assertThatThrownBy(() ->
                            loader(resources, Set.of("avx2", "fma"), NO_LEVEL).load())
                    .hasMessageContaining("/v3/" + HERE.libraryFileName());
            assertThatThrownBy(() -> loader(resources, Set.of("fma"), NO_LEVEL).load())
                    .hasMessageContaining("/v2/" + HERE.libraryFileName());
            assertThatThrownBy(() -> new NativeLibraryLoader(
                                    HERE, resources, Optional.empty(), NO_OVERRIDE, NO_LEVEL, temporary)
                            .load())
                    .as("a CPU that is not known")
                    .hasMessageContaining("/v2/" + HERE.libraryFileName());
        }
    }

    @Test
    void levelCanBeRequired() throws IOException {
        addLevel("v3", "level=v3\ncpu.features=avx2\n", "not a library");
        addLevel("v2", "level=v2\ncpu.features=\n", "not a library");

        try (URLClassLoader resources = resourcesIn(folder)) {
            assertThatThrownBy(() ->
                            loader(resources, Set.of("avx2"), Optional.of("v2")).load())
                    .hasMessageContaining("/v2/" + HERE.libraryFileName());
            assertThatThrownBy(() ->
                            loader(resources, Set.of("fma"), Optional.of("v3")).load())
                    .satisfies(error -> hasCode(error, ErrorCode.UNSUPPORTED_CPU));
            assertThatThrownBy(() ->
                            loader(resources, Set.of("avx2"), Optional.of("v9")).load())
                    .satisfies(NativeLibraryTest::isUnavailable)
                    .hasMessageContaining("llamafu.native.level=v9 names none of the levels in the jar: v3, v2.");
        }
    }

    @Test
    void damagedBuildPropertiesAreRefused() throws IOException {
        addLevel("native", "level=native\n", "");

        try (URLClassLoader resources = resourcesIn(folder)) {
            assertThatThrownBy(() ->
                            new NativeLibraryLoader(HERE, resources, THIS_CPU, NO_OVERRIDE, NO_LEVEL, temporary).load())
                    .satisfies(NativeLibraryTest::isUnavailable)
                    .hasMessageContaining("the key cpu.features is missing");
        }
    }

    @Test
    void fileThatIsNoLibraryIsRefusedAndItsCopyDeleted() throws IOException {
        addLevel("native", "level=native\ncpu.features=\n", "not a library");

        try (URLClassLoader resources = resourcesIn(folder)) {
            assertThatThrownBy(() ->
                            new NativeLibraryLoader(HERE, resources, THIS_CPU, NO_OVERRIDE, NO_LEVEL, temporary).load())
                    .satisfies(NativeLibraryTest::isUnavailable)
                    .hasMessageContaining(HERE.resourceFolder())
                    .hasCauseInstanceOf(UnsatisfiedLinkError.class);
        }
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void overrideToAWrongFileHasNoFallback() throws IOException {
        Path notALibrary = Files.writeString(folder.resolve("other.so"), "not a library");

        assertThatThrownBy(() -> loaderWithOverride(notALibrary.toString()).load())
                .satisfies(NativeLibraryTest::isUnavailable)
                .hasMessageContaining(notALibrary.toString())
                .hasMessageContaining("llamafu.native.library");
    }

    @Test
    void overrideMustBeAnAbsolutePathOfAFile() {
        for (String override :
                List.of("libllamafu.so", folder.resolve("absent.so").toString(), folder.toString(), "")) {
            assertThatThrownBy(() -> loaderWithOverride(override).load())
                    .as(override)
                    .satisfies(NativeLibraryTest::isUnavailable)
                    .hasMessageContaining("llamafu.native.library=" + override + " must be the absolute path");
        }
    }

    @Test
    void overrideIsCheckedAgainstTheCpuByTheBuildPropertiesBesideIt() throws IOException {
        Path library = Files.writeString(folder.resolve("libllamafu.so"), "not a library");
        Files.writeString(folder.resolve("build.properties"), "level=future\ncpu.features=teleport\n");

        assertThatThrownBy(() -> loaderWithOverride(library.toString()).load())
                .satisfies(error -> hasCode(error, ErrorCode.UNSUPPORTED_CPU))
                .hasMessageContaining("teleport");
    }

    @Test
    void failureIsKeptAndThrownAgain() throws Exception {
        try (URLClassLoader withoutLibrary = copyOfOurClasses(folderWithClassesOnly())) {
            Throwable first = loadIn(withoutLibrary);
            Throwable second = loadIn(withoutLibrary);

            assertThat(first).hasMessageContaining("is not on the class path");
            assertThat(second).isNotSameAs(first).hasMessage(first.getMessage()).hasCause(first);
        }
    }

    @Test
    void secondClassLoaderGetsItsOwnCopyAndAWarning() throws Exception {
        NativeLibrary.load();

        try (LoggedMessages warnings = new LoggedMessages(NativeLibraryLoader.class.getName());
                URLClassLoader second = copyOfOurClasses(ourClasses())) {
            assertThat(loadIn(second)).isNull();

            Method buildInfo = nativeLibraryIn(second).getDeclaredMethod("buildInfo");
            buildInfo.setAccessible(true);
            assertThat(buildInfo.invoke(null)).isEqualTo(NativeLibrary.buildInfo());
            assertThat(warnings.all()).anySatisfy(message -> assertThat(message)
                    .contains("each holds its own copy of the model", "Flink's lib folder"));
        }
    }

    @Test
    void overriddenLibraryServesASecondClassLoaderToo() throws Exception {
        Path library = extractedLibrary();
        System.setProperty(NativeLibrary.OVERRIDE_PROPERTY, library.toString());
        try (URLClassLoader first = copyOfOurClasses(folderWithClassesOnly());
                URLClassLoader second = copyOfOurClasses(folderWithClassesOnly())) {
            assertThat(loadIn(first)).isNull();
            assertThat(loadIn(second)).isNull();
        } finally {
            System.clearProperty(NativeLibrary.OVERRIDE_PROPERTY);
        }
    }

    private NativeLibraryLoader loaderWithOverride(String path) {
        return new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, Optional.of(path), NO_LEVEL, temporary);
    }

    private NativeLibraryLoader loader(ClassLoader resources, Set<String> cpuFeatures, Optional<String> level) {
        return new NativeLibraryLoader(HERE, resources, Optional.of(cpuFeatures), NO_OVERRIDE, level, temporary);
    }

    private static ClassLoader classLoader() {
        return NativeLibraryTest.class.getClassLoader();
    }

    private static void isUnavailable(Throwable error) {
        hasCode(error, ErrorCode.NATIVE_LIBRARY_UNAVAILABLE);
    }

    private static void hasCode(Throwable error, ErrorCode code) {
        assertThat(error).has(code(code));
    }

    /** Adds a library to a folder laid out like the jar. */
    private void addLevel(String level, String buildProperties, String library) throws IOException {
        Path platform = folder.resolve(HERE.resourceFolder());
        Path levelFolder = Files.createDirectories(platform.resolve(level));
        Files.writeString(levelFolder.resolve("build.properties"), buildProperties);
        Files.writeString(levelFolder.resolve(HERE.libraryFileName()), library);
        Files.writeString(platform.resolve("levels"), level + "\n", CREATE, APPEND);
    }

    private static URLClassLoader resourcesIn(Path folder) throws IOException {
        return new URLClassLoader(new URL[] {folder.toUri().toURL()}, null);
    }

    private static Path ourClasses() throws Exception {
        return Path.of(NativeLibrary.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
    }

    private Path folderWithClassesOnly() throws Exception {
        Path classes = ourClasses();
        Path target = Files.createDirectories(folder.resolve("classes"));
        try (Stream<Path> files = Files.walk(classes)) {
            for (Path file :
                    files.filter(path -> path.toString().endsWith(".class")).toList()) {
                Path copy = target.resolve(classes.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                if (!Files.exists(copy)) {
                    Files.copy(file, copy);
                }
            }
        }
        return target;
    }

    private Path extractedLibrary() throws IOException {
        Path library = folder.resolve(HERE.libraryFileName());
        return Files.copy(PackedLibraries.usable().get(0).resolve(HERE.libraryFileName()), library);
    }

    /** As Flink does for a job: our classes again, everything else from the parent. */
    private static URLClassLoader copyOfOurClasses(Path classes) throws IOException {
        return new URLClassLoader(new URL[] {classes.toUri().toURL()}, classLoader()) {
            @Override
            protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
                if (!name.startsWith("io.llamafu.")) {
                    return super.loadClass(name, resolve);
                }
                synchronized (getClassLoadingLock(name)) {
                    Class<?> loaded = findLoadedClass(name);
                    return loaded == null ? findClass(name) : loaded;
                }
            }

            @Override
            public URL getResource(String name) {
                return findResource(name);
            }
        };
    }

    private static Class<?> nativeLibraryIn(ClassLoader loader) throws ClassNotFoundException {
        return Class.forName(NativeLibrary.class.getName(), true, loader);
    }

    /** The failure of load() in that class loader; null if it succeeds. */
    private static Throwable loadIn(ClassLoader loader) throws ReflectiveOperationException {
        Method load = nativeLibraryIn(loader).getDeclaredMethod("load");
        load.setAccessible(true);
        try {
            load.invoke(null);
            return null;
        } catch (InvocationTargetException e) {
            return e.getCause();
        }
    }
}
