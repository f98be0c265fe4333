package io.llamafu.flink.artifact;

import io.llamafu.testing.Await;
import org.apache.flink.core.fs.BlockLocation;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;

/**
 * A remote file system over a folder, under {@code store://NAME/}. Counts calls, and can be made to fail and to wait.
 */
public final class RemoteStore {
    private static final Map<String, RemoteStore> STORES = new ConcurrentHashMap<>();
    private static final String SCHEME = "store";

    private final String name;
    private final java.nio.file.Path root;
    private final List<String> opened = new CopyOnWriteArrayList<>();
    private final List<String> listingThreads = new CopyOnWriteArrayList<>();
    private final AtomicLong statusCalls = new AtomicLong();
    /** Times of published files, each later than the one before, however quickly they follow. */
    private final AtomicLong publishedTime = new AtomicLong(1_700_000_000_000L);

    private volatile boolean failing;
    private volatile CompletableFuture<Void> gate = CompletableFuture.completedFuture(null);
    private volatile Runnable onOpen = () -> {};
    private volatile CompletableFuture<Void> listingGate = CompletableFuture.completedFuture(null);
    private volatile Predicate<String> gated = path -> true;
    private volatile long brokenAfter = Long.MAX_VALUE;
    private volatile Runnable onRead = () -> {};
    private volatile boolean paced;
    private volatile boolean wholeSeconds;
    private final AtomicLong servedBytes = new AtomicLong();

    private RemoteStore(String name, java.nio.file.Path root) {
        this.name = name;
        this.root = root;
    }

    public static RemoteStore over(java.nio.file.Path root) {
        return named(UUID.randomUUID().toString(), root);
    }

    /** The same URIs as those of a store in another process. */
    public static RemoteStore named(String name, java.nio.file.Path root) {
        RemoteStore store = new RemoteStore(name, root);
        STORES.put(name, store);
        return store;
    }

    public URI uri(String path) {
        return URI.create(SCHEME + "://" + name + "/" + path);
    }

    public String name() {
        return name;
    }

    /** Writes a file as a publisher should: complete, then renamed. */
    public void publish(String path, byte[] content) throws IOException {
        java.nio.file.Path target = root.resolve(path);
        Files.createDirectories(target.getParent());
        java.nio.file.Path temporary = target.resolveSibling(".new");
        Files.write(temporary, content);
        Files.setLastModifiedTime(temporary, FileTime.fromMillis(publishedTime.addAndGet(1000)));
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    }

    public void publish(String path, java.nio.file.Path content) throws IOException {
        publish(path, Files.readAllBytes(content));
    }

    public void remove(String path) throws IOException {
        Files.delete(root.resolve(path));
    }

    /** The number of reads of a file. */
    public long reads(String path) {
        return opened.stream().filter(uri(path).toString()::equals).count();
    }

    /** The threads that listed a folder, one for each listing. */
    public List<String> listingThreads() {
        return listingThreads;
    }

    /** The number of status calls for single files. */
    public long statusCalls() {
        return statusCalls.get();
    }

    public void setFailing(boolean failing) {
        this.failing = failing;
    }

    /** Reads wait from now on. */
    void closeGate() {
        closeGate(path -> true);
    }

    /** Reads of some files wait from now on. */
    void closeGate(Predicate<String> path) {
        gated = path;
        gate = new CompletableFuture<>();
    }

    /** Listings wait from now on. */
    void closeListings() {
        listingGate = new CompletableFuture<>();
    }

    /** From now on, each stream breaks after so many bytes. */
    void breakAfter(long bytes) {
        brokenAfter = bytes;
    }

    /** From now on, a stream returns one byte at a time, and runs this before each. */
    void onRead(Runnable action) {
        onRead = action;
        paced = true;
    }

    /**
     * From now on, the status of a file has whole seconds, while a listing still has milliseconds, as in some stores.
     */
    void tellWholeSeconds() {
        wholeSeconds = true;
    }

    /** The bytes read from all files. */
    long servedBytes() {
        return servedBytes.get();
    }

    void openGate() {
        gate.complete(null);
        listingGate.complete(null);
    }

    /** A fetch that was interrupted still clears up in the cache. */
    static void awaitNoFetch() throws Exception {
        Await.until("no fetch", () -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().equals("llamafu-adapter-fetch")));
    }

    /** Runs once, when a file has been opened and nothing of it read. */
    void onNextOpen(Runnable action) {
        onOpen = action;
    }

    private void requireReachable() throws IOException {
        if (failing) {
            throw new IOException("the store is down");
        }
    }

    private Path local(Path path) {
        return new Path(root.resolve(path.getPath().substring(1)).toUri());
    }

    /** Found by Flink like any other. */
    public static final class Factory implements FileSystemFactory {
        @Override
        public String getScheme() {
            return SCHEME;
        }

        @Override
        public FileSystem create(URI uri) {
            return STORES.get(uri.getHost()).new StoreFileSystem();
        }
    }

    private record WholeSeconds(FileStatus status) implements FileStatus {
        @Override
        public long getLen() {
            return status.getLen();
        }

        @Override
        public long getBlockSize() {
            return status.getBlockSize();
        }

        @Override
        public short getReplication() {
            return status.getReplication();
        }

        @Override
        public long getModificationTime() {
            return status.getModificationTime() / 1000 * 1000;
        }

        @Override
        public long getAccessTime() {
            return status.getAccessTime();
        }

        @Override
        public boolean isDir() {
            return status.isDir();
        }

        @Override
        public Path getPath() {
            return status.getPath();
        }
    }

    private final class StoreStream extends FSDataInputStream {
        private final FSDataInputStream in;
        private long served;

        private StoreStream(FSDataInputStream in) {
            this.in = in;
        }

        @Override
        public void seek(long position) throws IOException {
            in.seek(position);
        }

        @Override
        public long getPos() throws IOException {
            return in.getPos();
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            onRead.run();
            if (served >= brokenAfter) {
                throw new IOException("the connection broke");
            }
            int read = in.read(buffer, offset, (int) Math.min(paced ? 1 : length, brokenAfter - served));
            served += Math.max(0, read);
            servedBytes.addAndGet(Math.max(0, read));
            return read;
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }

    private final class StoreFileSystem extends FileSystem {
        private final LocalFileSystem files = LocalFileSystem.getSharedInstance();

        @Override
        public FileStatus getFileStatus(Path path) throws IOException {
            statusCalls.incrementAndGet();
            requireReachable();
            FileStatus status = files.getFileStatus(local(path));
            return wholeSeconds ? new WholeSeconds(status) : status;
        }

        @Override
        public FileStatus[] listStatus(Path path) throws IOException {
            listingThreads.add(Thread.currentThread().getName());
            listingGate.join();
            requireReachable();
            return files.listStatus(local(path));
        }

        @Override
        public FSDataInputStream open(Path path) throws IOException {
            opened.add(path.toString());
            if (gated.test(path.getPath())) {
                gate.join();
            }
            requireReachable();
            FSDataInputStream in = files.open(local(path));
            Runnable action = onOpen;
            onOpen = () -> {};
            action.run();
            return new StoreStream(in);
        }

        @Override
        public FSDataInputStream open(Path path, int bufferSize) throws IOException {
            return open(path);
        }

        @Override
        public URI getUri() {
            return uri("");
        }

        @Override
        public Path getWorkingDirectory() {
            return new Path(getUri());
        }

        @Override
        public Path getHomeDirectory() {
            return new Path(getUri());
        }

        @Override
        public boolean isDistributedFS() {
            return true;
        }

        @Override
        public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long length) {
            throw readOnly();
        }

        @Override
        public FSDataOutputStream create(Path path, WriteMode mode) {
            throw readOnly();
        }

        @Override
        public boolean delete(Path path, boolean recursive) {
            throw readOnly();
        }

        @Override
        public boolean mkdirs(Path path) {
            throw readOnly();
        }

        @Override
        public boolean rename(Path source, Path target) {
            throw readOnly();
        }

        private UnsupportedOperationException readOnly() {
            return new UnsupportedOperationException("Models and adapters are only read.");
        }
    }
}
