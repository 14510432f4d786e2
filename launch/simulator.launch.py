"""A robot in the embedded world: ros2 launch scene_understanding simulator.launch.py

It owns the clock: start what listens with use_sim_time:=true.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PARAMETERS = PathJoinSubstitution([FindPackageShare("scene_understanding"), "config", "simulator.yaml"])

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and of its topics"),
    DeclareLaunchArgument("cmd_vel", default_value="cmd_vel", description="velocity commands to the robot"),
    DeclareLaunchArgument("params_file", default_value=PARAMETERS, description="ROS 2 parameter file"),
    DeclareLaunchArgument("autostart", default_value="true", description="configure and activate by itself"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    """The arguments above and one lifecycle node."""
    node = Node(
        package="scene_understanding",
        executable="simulator",
        name="simulator",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            LaunchConfiguration("params_file"),
            {"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)},
        ],
        remappings=[("cmd_vel", LaunchConfiguration("cmd_vel"))],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription([*ARGUMENTS, node])
