package dev.kleinscope.stray;

/** What the package table must not let pass. */
public final class InNoPackageOfTheTable {

    private InNoPackageOfTheTable() {
    }
}
