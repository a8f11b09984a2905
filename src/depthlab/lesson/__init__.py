"""The lesson: five small trainings, and a page that explains with them why deep networks collapse."""
