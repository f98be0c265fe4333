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
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class NativeLibraryTest {
    private static final NativePlatform HERE = NativePlatform.current();
    private static final Optional<Set<String>> THIS_CPU = CpuFeatures.current();
    private static final Optional<String> NO_OVERRIDE = Optional.empty();

    @TempDir
    Path folder;

    /** The folder for the copies of the loader under test. */
    @TempDir
    Path temporary;

    @Test
    void loadsAndSaysWhatItWasBuiltFrom() {
        NativeLibrary.load();

        assertThat(NativeLibrary.buildInfo()).contains("llama.cpp v0.5.0 (de3ff81", "march ", "CPU : ");
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
        new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, NO_OVERRIDE, temporary).load();

        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void copyIsReadableByItsOwnerOnly() throws IOException {
        NativeLibraryLoader loader = new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, NO_OVERRIDE, temporary);

        Path copy = loader.writePrivateCopy(InputStream.nullInputStream(), "nothing");

        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(copy)))
                .isEqualTo("rw-------");
    }

    @Test
    void unusableTemporaryFolderIsNamedWithTheCure() {
        Path absent = temporary.resolve("absent");

        assertThatThrownBy(() -> new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, NO_OVERRIDE, absent).load())
                .satisfies(NativeLibraryTest::isUnavailable)
                .hasMessageContaining(absent.toString())
                .hasMessageContaining("-Djava.io.tmpdir");
    }

    @Test
    void missingLibraryNamesResourcePlatformAndCure() {
        NativePlatform platform = new NativePlatform("plan9", "mips");

        assertThatThrownBy(
                        () -> new NativeLibraryLoader(platform, classLoader(), THIS_CPU, NO_OVERRIDE, temporary).load())
                .satisfies(NativeLibraryTest::isUnavailable)
                .hasMessageContaining("io/llamafu/native/plan9-mips/libllamafu.so")
                .hasMessageContaining("os.arch " + System.getProperty("os.arch"))
                .hasMessageContaining("mvn install")
                .hasMessageContaining("-Dllamafu.native.library=");
    }

    @Test
    void libraryIsThereIfItIsPackedOrNamed() {
        NativePlatform elsewhere = new NativePlatform("plan9", "mips");

        assertThat(NativeLibrary.isPackaged()).isTrue();
        assertThat(new NativeLibraryLoader(elsewhere, classLoader(), THIS_CPU, NO_OVERRIDE, temporary).hasLibrary())
                .isFalse();
        assertThat(new NativeLibraryLoader(elsewhere, classLoader(), THIS_CPU, Optional.of("/x"), temporary)
                        .hasLibrary())
                .isTrue();
    }

    @Test
    void cpuWithoutTheNeededInstructionsIsRefusedBeforeLoading() throws IOException {
        Path jar = jarFolder("march=x86-64-v4\ncpu.features=avx2 avx512f fma\n", "not even a library");

        try (URLClassLoader resources = resourcesIn(jar)) {
            assertThatThrownBy(() -> new NativeLibraryLoader(
                                    HERE, resources, Optional.of(Set.of("avx2", "sse4_2")), NO_OVERRIDE, temporary)
                            .load())
                    .satisfies(error -> hasCode(error, ErrorCode.UNSUPPORTED_CPU))
                    .hasMessageContaining("-march=x86-64-v4")
                    .hasMessageContaining("lacks avx512f, fma.")
                    .hasMessageContaining("-Dnative.march=x86-64-v2");
        }
    }

    @Test
    void damagedBuildPropertiesAreRefused() throws IOException {
        Path jar = jarFolder("march=native\n", "");

        try (URLClassLoader resources = resourcesIn(jar)) {
            assertThatThrownBy(() -> new NativeLibraryLoader(HERE, resources, THIS_CPU, NO_OVERRIDE, temporary).load())
                    .satisfies(NativeLibraryTest::isUnavailable)
                    .hasMessageContaining("the key cpu.features is missing");
        }
    }

    @Test
    void fileThatIsNoLibraryIsRefusedAndItsCopyDeleted() throws IOException {
        Path jar = jarFolder("march=native\ncpu.features=\n", "not a library");

        try (URLClassLoader resources = resourcesIn(jar)) {
            assertThatThrownBy(() -> new NativeLibraryLoader(HERE, resources, THIS_CPU, NO_OVERRIDE, temporary).load())
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
        Files.writeString(folder.resolve("build.properties"), "march=future\ncpu.features=teleport\n");

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

    @Test
    void buildPropertiesOfThePackedLibraryFitThisMachine() throws IOException {
        try (InputStream in = classLoader().getResourceAsStream(HERE.resourceFolder() + "/build.properties")) {
            NativeBuild build = NativeBuild.read(in);

            assertThat(build.march()).isNotEmpty();
            build.checkRunsOn(THIS_CPU.orElseThrow());
        }
    }

    private NativeLibraryLoader loaderWithOverride(String path) {
        return new NativeLibraryLoader(HERE, classLoader(), THIS_CPU, Optional.of(path), temporary);
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

    /** A folder laid out like the jar, with a given library. */
    private Path jarFolder(String buildProperties, String library) throws IOException {
        Path resourceFolder = Files.createDirectories(folder.resolve(HERE.resourceFolder()));
        Files.writeString(resourceFolder.resolve("build.properties"), buildProperties);
        Files.writeString(resourceFolder.resolve(HERE.libraryFileName()), library);
        return folder;
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
        String resource = HERE.resourceFolder() + "/" + HERE.libraryFileName();
        try (InputStream in = classLoader().getResourceAsStream(resource)) {
            Path library = folder.resolve(HERE.libraryFileName());
            Files.copy(in, library);
            return library;
        }
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
