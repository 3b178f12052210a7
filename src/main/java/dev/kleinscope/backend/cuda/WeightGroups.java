package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.WeightGroup;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Weights on the device that are freed together: what is uploaded while a group loads belongs to it. */
final class WeightGroups {

    private final DeviceMemory memory;
    private final DeviceWeights weights;
    private final Runnable beforeFreed;
    private final List<Group> groups = new ArrayList<>();

    /** @param beforeFreed called before weights are freed, to end what was recorded with them */
    WeightGroups(DeviceMemory memory, DeviceWeights weights, Runnable beforeFreed) {
        this.memory = memory;
        this.weights = weights;
        this.beforeFreed = beforeFreed;
        memory.relieveBy(this::giveBack);
    }

    /**
     * @param name of the model, in messages
     * @param mostElements how many numbers its weights are at most
     * @param load makes the model; if it fails, what it uploaded is freed
     */
    WeightGroup load(String name, long mostElements, Runnable load) {
        memory.beginGroup(name, weights.bytes(mostElements));
        boolean loaded = false;
        Group group = new Group(name);
        try {
            load.run();
            loaded = true;
        } finally {
            group.addresses = memory.endGroup();
            if (!loaded) {
                group.close();
            }
        }
        groups.add(group);
        return group;
    }

    /** Bytes that could be given back. */
    long spareBytes() {
        return groups.stream().filter(group -> group.spare).mapToLong(group -> memory.bytes(group.addresses)).sum();
    }

    /** Frees what may be given back. @return whether there was any */
    private boolean giveBack() {
        List<Group> spared = groups.stream().filter(group -> group.spare).toList();
        spared.forEach(Group::close);
        return !spared.isEmpty();
    }

    private final class Group implements WeightGroup {

        private final String name;
        private Set<Long> addresses;
        private boolean spare;
        private boolean freed;

        Group(String name) {
            this.name = name;
        }

        @Override
        public boolean hold() {
            spare = false;
            return !freed;
        }

        @Override
        public void spare() {
            spare = !freed;
        }

        @Override
        public void close() {
            if (freed) {
                return;
            }
            freed = true;
            spare = false;
            groups.remove(this);
            beforeFreed.run();
            weights.forget(addresses, "the end of " + name);
            memory.free(addresses);
        }
    }
}
