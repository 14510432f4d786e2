"""A map of labelled clouds: ros2 launch scene_understanding semantic_map.launch.py, beside segmentation.launch.py

What has been seen is kept by: ros2 service call /semantic_map/save std_srvs/srv/Trigger
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PARAMETERS = PathJoinSubstitution([FindPackageShare("scene_understanding"), "config", "semantic_map.yaml"])

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and of its topics"),
    DeclareLaunchArgument("points", default_value="segmentation/points", description="labelled cloud of the camera"),
    DeclareLaunchArgument("label_info", default_value="segmentation/label_info", description="classes of the clouds"),
    DeclareLaunchArgument("people", default_value="keypoints/people", description="who is kept out of the map"),
    DeclareLaunchArgument(
        "lidar_points", default_value="lidar_segmentation/points", description="labelled cloud of a LiDAR"
    ),
    DeclareLaunchArgument(
        "lidar_label_info", default_value="lidar_segmentation/label_info", description="classes of that cloud"
    ),
    DeclareLaunchArgument("params_file", default_value=PARAMETERS, description="ROS 2 parameter file"),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock (bags, simulators)"),
    DeclareLaunchArgument("autostart", default_value="true", description="configure and activate by itself"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    """The arguments above and one lifecycle node."""
    node = Node(
        package="scene_understanding",
        executable="semantic_map",
        name="semantic_map",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
                "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
            },
        ],
        remappings=[
            ("segmentation/points", LaunchConfiguration("points")),
            ("segmentation/label_info", LaunchConfiguration("label_info")),
            ("keypoints/people", LaunchConfiguration("people")),
            ("lidar_segmentation/points", LaunchConfiguration("lidar_points")),
            ("lidar_segmentation/label_info", LaunchConfiguration("lidar_label_info")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription([*ARGUMENTS, node])
